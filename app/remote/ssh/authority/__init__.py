"""Short-lived SSH user certificates from a facility's online authority, for a key that exists in memory only."""
