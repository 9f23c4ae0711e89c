-- Events in PostgreSQL: transactions commit in another order than they write. So a new event goes into pv_outbox, and
-- gets its position once no transaction can commit any more before it.

-- add_event --
INSERT INTO pv_outbox (name, payload) VALUES (?, ?)

-- final --
-- Part: events before which no transaction that still runs can have written. Those with the number of a transaction to
-- come were copied here from another server. Two reads by the index find them, also where very many events wait.
(SELECT ctid AS tid, 0 AS place, xid, id FROM pv_outbox WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())
 ORDER BY xid, id LIMIT 10000)
UNION ALL
(SELECT ctid, 1, xid, id FROM pv_outbox WHERE xid < pg_snapshot_xmin(pg_current_snapshot())
 ORDER BY xid, id LIMIT 10000)

-- can_order --
SELECT 1 FROM ({final}) AS o LIMIT 1

-- order_events --
-- Gives positions to up to 10,000 events that have none. By their place in the table, since a join may read all of it.
WITH moved AS (
    DELETE FROM pv_outbox WHERE ctid = ANY (ARRAY(SELECT tid FROM ({final}) AS o ORDER BY place, xid, id LIMIT 10000))
    RETURNING xid, id, code_id, name, payload, nonce
), base AS (
    SELECT greatest((SELECT max(position) FROM pv_events), (SELECT max(position) FROM pv_sinks), 0) AS position
)
INSERT INTO pv_events (position, number, nonce, code_id, name, payload)
SELECT base.position + row_number() OVER (
        ORDER BY m.xid >= pg_snapshot_xmax(pg_current_snapshot()) DESC, m.xid, m.id),
    m.id, m.nonce, m.code_id, m.name, m.payload
FROM moved AS m CROSS JOIN base

-- count_unordered --
-- The order makes the server use the index: the table is mostly empty after many events got their positions.
SELECT count(*) FROM (SELECT 1 FROM pv_outbox ORDER BY xid, id LIMIT ?) AS found

-- unordered_columns --
-- Part: an event that has no position yet.
0 AS position, o.id AS number, o.nonce, o.code_id, o.name, o.payload

-- event_tables --
-- Part: the assignment of an event, if it has one. LATERAL and LIMIT make the database look each one up by its code, and
-- not read the table.
LEFT JOIN LATERAL (SELECT * FROM pv_assignments AS g WHERE g.code_id = e.code_id LIMIT 1) AS a ON TRUE

-- oldest_unordered --
SELECT {event_columns}
FROM (SELECT {unordered_columns} FROM pv_outbox AS o ORDER BY o.xid, o.id LIMIT 1) AS e {event_tables}

-- oldest_held_back --
-- The oldest committed event that waits for a transaction that still runs.
SELECT {event_columns} FROM (
    SELECT {unordered_columns} FROM pv_outbox AS o
    WHERE o.xid >= pg_snapshot_xmin(pg_current_snapshot()) AND o.xid < pg_snapshot_xmax(pg_current_snapshot())
    ORDER BY o.xid, o.id LIMIT 1) AS e {event_tables}
