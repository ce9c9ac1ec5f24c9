"""Federated sign-in: who the person is, shown to a facility by a token. Blocking; call it on worker threads."""
