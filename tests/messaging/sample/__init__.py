"""A sample service for the library's own tests: notes are added to a list, one row each."""
