{report_blocks}
-- A thousand rows of a report and a kind in each block: first those with the code of an assignment, then the others.
INSERT INTO pv_report_blocks (id, last_line, kind, cells)
SELECT min(id), max(line), kind, json_array(json_group_array(line), json_group_array(code_id))
FROM (
    SELECT id, id & 4294967295 AS line, kind, code_id,
        (row_number() OVER (PARTITION BY id >> 32, kind ORDER BY id) - 1) / 1000 AS block
    FROM pv_report_rows WHERE cells = '') AS r
GROUP BY id >> 32, kind, block;

INSERT INTO pv_report_blocks (id, last_line, kind, cells)
SELECT min(id), max(line), kind, json_array(json_group_array(line), json_group_array(CAST(code_id AS TEXT)),
    json_group_array(fault), json_group_array(json_extract(cells, '$[0]')),
    json_group_array(coalesce(json_extract(cells, '$[1]'), '')),
    json_group_array(coalesce(json_extract(cells, '$[2]'), '')),
    json_group_array(coalesce(json_extract(cells, '$[3]'), '')))
FROM (
    SELECT id, id & 4294967295 AS line, kind, code_id, fault, cells,
        (row_number() OVER (PARTITION BY id >> 32, kind ORDER BY id) - 1) / 1000 AS block
    FROM pv_report_rows WHERE cells <> '') AS r
GROUP BY id >> 32, kind, block;

DROP TABLE pv_report_rows;
