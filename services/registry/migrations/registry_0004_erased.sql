-- Few, and asked for while nobody may append.
CREATE INDEX leaf_erased ON leaf (index) WHERE salt IS NULL;
