-- Events in PostgreSQL: transactions commit in another order than they write. So a new event goes into pv_outbox, and
-- gets its position once no transaction can commit any more before it.

-- is_final --
-- Part: no transaction that still runs can have written before this event. One with the number of a transaction to
-- come was copied here from another server.
(o.xid < pg_snapshot_xmin(pg_current_snapshot()) OR o.xid >= pg_snapshot_xmax(pg_current_snapshot()))

-- add_event --
INSERT INTO pv_outbox (name, payload) VALUES (?, ?)

-- can_order --
SELECT 1 FROM pv_outbox AS o WHERE {is_final} LIMIT 1

-- order_events --
-- Gives positions to up to 10,000 events that have none. Two reads by the index find them: each step would otherwise
-- sort all events that wait.
WITH next AS (
    SELECT xid, id FROM (
        (SELECT xid, id, 0 AS place FROM pv_outbox WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())
         ORDER BY xid, id LIMIT 10000)
        UNION ALL
        (SELECT xid, id, 1 FROM pv_outbox WHERE xid < pg_snapshot_xmin(pg_current_snapshot())
         ORDER BY xid, id LIMIT 10000)
    ) AS final ORDER BY place, xid, id LIMIT 10000
), moved AS (
    DELETE FROM pv_outbox AS o USING next AS n WHERE o.xid = n.xid AND o.id = n.id
    RETURNING o.xid, o.id, o.code_id, o.name, o.payload, o.nonce
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
    SELECT {unordered_columns} FROM pv_outbox AS o WHERE NOT {is_final} ORDER BY o.xid, o.id LIMIT 1) AS e {event_tables}
