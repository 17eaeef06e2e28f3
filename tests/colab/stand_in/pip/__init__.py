"""A stand-in for pip that installs nothing."""
