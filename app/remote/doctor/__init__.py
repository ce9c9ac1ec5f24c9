"""The connection doctor: looks at each step from this computer to the data, and changes nothing. No Qt."""
