-- Reservations, limits and refusals. The condition on the state is that of a partial index.

-- code_of_reservation --
-- Part: the code of a reservation.
c.code

-- reservation_tables --
-- Part: where the code of a reservation is.
JOIN pv_codes AS c ON c.id = r.code_id

-- lock_rows --
-- Part: locks the rows of a query; others are waited for.

-- lock_free_rows --
-- Part: locks the rows of a query that no other transaction has locked, and leaves out the others.

-- open_or_confirmed --
-- Part: the state of an open or confirmed reservation, and when it was confirmed.
r.state, r.ended_at

-- is_open --
-- Part: whether such a reservation is open.
r.state = 'Open'

-- reservation_facts --
-- Part: a reservation without its state.
r.id, {code_of_reservation}, r.code_id, r.user_id, r.origin, r.list_id, r.reserved_at, r.expires_at

-- reservation_columns --
-- Part: an open or confirmed reservation.
{reservation_facts}, {open_or_confirmed}

-- reservation_rows --
-- Part: open and confirmed reservations.
SELECT {reservation_columns} FROM pv_reservations AS r {reservation_tables}

-- reservation_fields --
-- Part: what is kept of a reservation when it ends, besides how it ended.
id, code_id, list_id, user_id, origin, reserved_at, expires_at

-- reservation_by_id --
{reservation_rows} WHERE r.code_id = ? AND r.id = ?

-- reservation_for_update --
{reservation_by_id} {lock_rows}

-- last_ordinal --
-- Part: the ordinal of the last code that the user of a reservation got where it was asked for.
(SELECT max(g.ordinal) FROM pv_assignments AS g WHERE g.user_id = r.user_id AND g.origin = r.origin)

-- is_open_at --
-- Part: whether a reservation of a code is open at an instant.
r.code_id = ? AND r.id = ? AND r.expires_at > ? AND {is_open}

-- open_reservation --
-- What an assignment of a reserved code needs, if the reservation is open at an instant.
SELECT {code_of_reservation}, r.user_id, r.origin, {last_ordinal},
    l.id, l.version, l.partner, l.tag, l.name, l.description, l.expires_at
FROM pv_reservations AS r {reservation_tables} JOIN pv_lists AS l ON l.id = r.list_id WHERE {is_open_at} {lock_rows}

-- ended_reservation --
SELECT {reservation_facts}, r.state, r.ended_at FROM pv_ended_reservations AS r {reservation_tables} WHERE r.id = ?

-- reservations_of_asker --
-- The open reservations of a user in a campaign or, without one, from a list.
{reservation_rows} WHERE r.user_id = ? AND r.origin = ? AND {is_open} ORDER BY r.expires_at DESC, r.id

-- reserving_users --
-- Those of many users who have an open reservation.
SELECT DISTINCT r.user_id FROM json_each(?) AS u CROSS JOIN pv_reservations AS r
WHERE r.user_id = u.value AND r.origin = ? AND {is_open}

-- reservations_of_user --
{reservation_rows} WHERE r.user_id = ? AND {is_open} ORDER BY r.reserved_at, r.id

-- reservations_of_list --
-- A page of the open reservations of a list.
{reservation_rows} WHERE r.list_id = ? AND {is_open} AND (r.expires_at, r.id) > (?, ?)
ORDER BY r.expires_at, r.id LIMIT ?

-- run_out_of_list --
{reservation_rows} WHERE r.list_id = ? AND {is_open} AND r.expires_at <= ?
ORDER BY r.expires_at, r.id LIMIT ? {lock_free_rows}

-- run_out_of_origin --
{reservation_rows} WHERE r.origin = ? AND {is_open} AND r.expires_at <= ?
ORDER BY r.expires_at, r.id LIMIT ? {lock_rows}

-- is_of_withdrawn_upload --
-- Part: whether the upload that the code of a reservation came with was withdrawn.
EXISTS (
    SELECT 1 FROM pv_uploads AS u
    WHERE u.list_id = r.list_id AND u.is_withdrawn AND coalesce(
        (SELECT v.source FROM pv_revocations AS v WHERE v.restocked_as = r.code_id), r.code_id)
        BETWEEN u.first_code AND u.last_code)

-- counted_run_out --
-- Part: how many reservations that have run out a list has, and how many of these have a code of a withdrawn upload.
r.list_id, count(*), count(*) FILTER (WHERE {is_of_withdrawn_upload})

-- count_run_out_of_all --
SELECT {counted_run_out} FROM pv_reservations AS r
WHERE {is_open} AND r.expires_at <= ? GROUP BY r.list_id

-- count_run_out --
SELECT {counted_run_out} FROM json_each(?) AS i CROSS JOIN pv_reservations AS r
WHERE r.list_id = CAST(i.value AS bigint) AND {is_open} AND r.expires_at <= ? GROUP BY r.list_id

-- keep_ended_reservation --
INSERT INTO pv_ended_reservations ({reservation_fields}, state, ended_at)
SELECT {reservation_fields}, ?, ? FROM pv_reservations AS r WHERE r.code_id = ? AND {is_open}

-- delete_open_reservation --
DELETE FROM pv_reservations AS r WHERE r.code_id = ? AND {is_open}

-- delete_ended_reservations --
DELETE FROM pv_ended_reservations WHERE id IN (SELECT id FROM pv_ended_reservations WHERE ended_at < ? LIMIT ?)

-- limits_of_campaign --
SELECT codes, per, period, zone FROM pv_limits WHERE campaign_id = ? ORDER BY place

-- delete_limits --
DELETE FROM pv_limits WHERE campaign_id = ?

-- delete_limit_counts --
DELETE FROM pv_limit_counts WHERE campaign_id = ?

-- add_limit --
INSERT INTO pv_limits (campaign_id, place, codes, per, period, zone) VALUES (?, ?, ?, ?, ?, ?)

-- is_revoked --
-- Part: whether an assignment was revoked.
EXISTS (SELECT 1 FROM pv_revocations AS v WHERE v.code_id = a.code_id)

-- codes_in_window --
-- How many codes of a campaign count in a window: assigned ones, at the instant at which they were reserved, if they were.
SELECT count(*)
FROM pv_assignments AS a
LEFT JOIN pv_reservations AS r ON r.code_id = a.code_id
WHERE a.origin = ? AND NOT {is_revoked} AND coalesce(r.reserved_at, a.assigned_at) >= ? AND coalesce(r.reserved_at, a.assigned_at) < ?

-- reserved_in_window --
-- How many open reservations of a campaign count in a window.
SELECT count(*) FROM pv_reservations AS r WHERE r.origin = ? AND {is_open} AND r.reserved_at >= ? AND r.reserved_at < ?

-- run_out_in_window --
-- How many of them have run out.
SELECT count(*) FROM pv_reservations AS r
WHERE r.origin = ? AND {is_open} AND r.reserved_at >= ? AND r.reserved_at < ? AND r.expires_at <= ?

-- codes_of_users_in_window --
SELECT a.user_id, count(*)
FROM json_each(?) AS u CROSS JOIN pv_assignments AS a
LEFT JOIN pv_reservations AS r ON r.code_id = a.code_id
WHERE a.user_id = u.value AND a.origin = ? AND NOT {is_revoked}
  AND coalesce(r.reserved_at, a.assigned_at) >= ? AND coalesce(r.reserved_at, a.assigned_at) < ?
GROUP BY a.user_id

-- reserved_for_users_in_window --
SELECT r.user_id, count(*)
FROM json_each(?) AS u CROSS JOIN pv_reservations AS r
WHERE r.user_id = u.value AND r.origin = ? AND {is_open}
  AND r.reserved_at >= ? AND r.reserved_at < ? AND r.expires_at > ?
GROUP BY r.user_id

-- limit_count --
SELECT codes FROM pv_limit_counts WHERE campaign_id = ? AND span = ?

-- add_refusal --
INSERT INTO pv_refusals AS r (campaign_id, day, reason, list_id, requests) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (campaign_id, day, reason, list_id) DO UPDATE SET requests = r.requests + excluded.requests

-- refusals_of_campaign --
SELECT day, reason, list_id, requests FROM pv_refusals WHERE campaign_id = ? AND day >= ? AND day <= ?
ORDER BY day, reason, list_id
