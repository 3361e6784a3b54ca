"""The release that needs nothing of the old one."""
