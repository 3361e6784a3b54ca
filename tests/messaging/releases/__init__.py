"""Three releases of a small service that changes an event and a column by expand and contract, one folder each.

before    parcels have a weight in kilograms; ParcelSent.v1 tells it
between   reads and writes kilograms and grams, accepts v1 and v2, and goes on publishing v1, which old code understands
after     knows grams alone, publishes v2, and still accepts the v1 that stand in the log
"""
