{report_blocks}
-- A thousand rows of a report and a kind in each block: first those with the code of an assignment, then the others.
INSERT INTO pv_report_blocks (id, last_line, kind, cells)
SELECT min(id), max(line), kind, json_build_array(json_agg(line ORDER BY id), json_agg(code_id ORDER BY id))::text
FROM (
    SELECT id, id & 4294967295 AS line, kind, code_id,
        (row_number() OVER (PARTITION BY id >> 32, kind ORDER BY id) - 1) / 1000 AS block
    FROM pv_report_rows WHERE cells = '') AS r
GROUP BY id >> 32, kind, block;

INSERT INTO pv_report_blocks (id, last_line, kind, cells)
SELECT min(id), max(line), kind, json_build_array(
    json_agg(line ORDER BY id), json_agg(code_id::text ORDER BY id), json_agg(fault ORDER BY id),
    json_agg(cells -> 0 ORDER BY id), json_agg(coalesce(cells -> 1, '""'::json) ORDER BY id),
    json_agg(coalesce(cells -> 2, '""'::json) ORDER BY id), json_agg(coalesce(cells -> 3, '""'::json) ORDER BY id))::text
FROM (
    SELECT id, id & 4294967295 AS line, kind, code_id, fault, cells::json AS cells,
        (row_number() OVER (PARTITION BY id >> 32, kind ORDER BY id) - 1) / 1000 AS block
    FROM pv_report_rows WHERE cells <> '') AS r
GROUP BY id >> 32, kind, block;

DROP TABLE pv_report_rows;
