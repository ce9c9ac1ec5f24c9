"""SSH: how Beamside reaches a facility. Blocking code over paramiko; call it on worker threads."""
