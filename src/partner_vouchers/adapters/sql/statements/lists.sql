-- Partners, voucher lists and their links to campaigns.

-- add_partner --
-- Adds a partner, unless one of that name exists.
INSERT INTO pv_partners (name, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING

-- partner_by_name --
SELECT name, created_at FROM pv_partners WHERE name = ?

-- all_partners --
SELECT name, created_at FROM pv_partners ORDER BY name

-- counters --
-- Part: the counters of a list, in the order of `Counts`, then the stock level notified last.
s.uploaded, s.distributed, s.reserved, s.withdrawn, s.retired, s.announced

-- distributed --
-- Part: the counter of distributed codes, for sorting.
s.distributed

-- list_columns --
-- Part: a list with its counters.
l.id, l.partner, l.tag, l.name, l.description, l.expires_at, l.state, l.low_stock_at,
(SELECT key FROM pv_scopes WHERE id = l.scope_id),
(SELECT count(*) FROM pv_links WHERE list_id = l.id),
l.created_at, l.updated_at, l.version, l.used_before, l.expiring_soon,
{counters}

-- list_rows --
-- Part: all lists that are not deleted, with their counters; `Lists.find` adds conditions and the order.
SELECT {list_columns} FROM pv_lists AS l JOIN pv_stock AS s ON s.list_id = l.id WHERE l.removed = 0

-- list_by_id --
{list_rows} AND l.id = ?

-- expiries_of_lists --
SELECT l.id, l.expires_at
FROM json_each(?) AS i CROSS JOIN pv_lists AS l WHERE l.id = CAST(i.value AS bigint) AND l.removed = 0

-- list_by_tag --
-- The list of a partner and tag that is not archived; the unique index allows one.
{list_rows} AND l.partner = ? AND l.tag = ? AND l.state <> 'Archived'

-- list_exists --
SELECT 1 FROM pv_lists WHERE id = ? AND removed = 0

-- add_scope --
-- Adds the scope in which the codes of a list are unique, unless it is known.
INSERT INTO pv_scopes (key) VALUES (?) ON CONFLICT DO NOTHING

-- add_list --
INSERT INTO pv_lists (id, partner, tag, scope_id, created_at,
                      name, description, expires_at, state, low_stock_at, expiring_soon, updated_at, search_text, version)
VALUES (?, ?, ?, (SELECT id FROM pv_scopes WHERE key = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- keep_terms --
-- Keeps what a list says at a version, for the events of its assignments.
INSERT INTO pv_terms (list_id, version, name, description, expires_at) VALUES (?, ?, ?, ?, ?)

-- save_list --
-- Replaces a list by its next version.
UPDATE pv_lists
SET name = ?, description = ?, expires_at = ?, state = ?, low_stock_at = ?, expiring_soon = ?, updated_at = ?,
    search_text = ?, version = ?
WHERE id = ? AND removed = 0 AND version = ?

-- expiring_lists --
-- Lists that expire soon, and of which no event was written for this expiry.
{list_rows} AND l.expiring_soon IS NOT NULL AND l.state <> 'Archived' AND l.expires_at >= ?
  AND l.expires_at - l.expiring_soon <= ? AND (l.notified_expiry IS NULL OR l.notified_expiry <> l.expires_at)
ORDER BY l.expires_at, l.id LIMIT ?

-- set_expiring --
UPDATE pv_lists SET notified_expiry = expires_at
WHERE id = ? AND removed = 0 AND (notified_expiry IS NULL OR notified_expiry <> expires_at)

-- touch_list --
UPDATE pv_lists SET updated_at = ?, used_before = coalesce(?, used_before) WHERE id = ? AND removed = 0

-- mark_list_deleted --
UPDATE pv_lists SET removed = 1 WHERE id = ? AND removed = 0

-- delete_links_of_list --
DELETE FROM pv_links WHERE list_id = ?

-- delete_stock --
DELETE FROM pv_stock WHERE list_id = ?

-- set_notified_level --
UPDATE pv_stock SET announced = ? WHERE list_id = ?

-- link_columns --
-- Part: a link between a list and a campaign.
k.list_id, k.campaign_id, k.repeat, k.priority, k.eligibility, k.linked_at

-- put_link --
-- Adds a link, or changes the one of the same list and campaign; its age stays.
INSERT INTO pv_links (list_id, campaign_id, repeat, priority, eligibility, linked_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (campaign_id, list_id) DO UPDATE
SET repeat = excluded.repeat, priority = excluded.priority, eligibility = excluded.eligibility

-- delete_link --
DELETE FROM pv_links WHERE campaign_id = ? AND list_id = ?

-- link --
SELECT {link_columns} FROM pv_links AS k WHERE k.campaign_id = ? AND k.list_id = ?

-- links_of_list --
SELECT {link_columns} FROM pv_links AS k WHERE k.list_id = ? ORDER BY k.campaign_id

-- ids_of_campaigns --
-- A page of the campaigns that have a link.
SELECT DISTINCT campaign_id FROM pv_links WHERE campaign_id > ? ORDER BY campaign_id LIMIT ?

-- lists_of_campaign --
-- The links of a campaign with their lists, in the order in which they give codes.
SELECT {link_columns}, {list_columns}
FROM pv_links AS k JOIN pv_lists AS l ON l.id = k.list_id JOIN pv_stock AS s ON s.list_id = l.id
WHERE k.campaign_id = ? AND l.removed = 0
ORDER BY k.priority, k.id

-- counters_of_today --
-- Part: how many codes of a list were given on its latest day, which are not in pv_given yet.
pv_stock

-- codes_a_day --
-- How many codes of a list were given on each day.
SELECT g.day, sum(g.codes) FROM (
    SELECT day, codes FROM pv_given WHERE list_id = ? AND day >= ? AND day <= ?
    UNION ALL SELECT day, day_codes FROM {counters_of_today} WHERE list_id = ? AND day >= ? AND day <= ?
) AS g GROUP BY g.day ORDER BY g.day

-- counters_of_list --
SELECT {counters} FROM pv_stock AS s JOIN pv_lists AS l ON l.id = s.list_id WHERE s.list_id = ?

-- deleted_list --
-- A deleted list whose codes wait to be cleared away.
SELECT id, scope_id FROM pv_lists WHERE removed = 1 LIMIT 1

-- delete_open_reservations --
DELETE FROM pv_reservations AS r WHERE r.list_id = ? AND {is_open}

-- mark_list_reclaimed --
UPDATE pv_lists SET removed = 2 WHERE id = ?
