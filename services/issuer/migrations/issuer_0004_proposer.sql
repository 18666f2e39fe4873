-- Four eyes: who proposed what another person then decided, by name; null where one person or the rules decided, and
-- for what was decided before this file.
ALTER TABLE application ADD COLUMN decided_proposer text;
