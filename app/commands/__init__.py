"""What each command of ``beamside`` does; ``app.cli`` reads the arguments. No Qt."""
