-- Finds who has a code, in whichever list.
CREATE INDEX pv_assignments_code ON pv_assignments (code COLLATE "C");
