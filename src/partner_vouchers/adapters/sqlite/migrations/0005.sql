-- A reservation is confirmed once its code is assigned: its row is not changed then. A process of the version before that
-- still runs fails when it looks for `state`, before it has stored anything.
ALTER TABLE pv_reservations DROP COLUMN state;
ALTER TABLE pv_reservations DROP COLUMN ended_at;
