"""What leans on private parts of kafka-python; a system check warns when another version is installed.

`lenient_headers` and `unreadable_batches` replace a method each; `private_calls` calls private methods.
"""

#: The version of kafka-python with which the tests of these modules pass.
TRIED_VERSION = "3.0.12"
