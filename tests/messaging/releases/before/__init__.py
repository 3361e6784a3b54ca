"""The release that everything runs at first."""
