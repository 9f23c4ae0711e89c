-- What version 2 of the schema held: events that wait, that were delivered to some sinks, that are deferred, and dead letters.
BEGIN TRANSACTION;
CREATE TABLE pv_active_codes (
    scope_id INTEGER NOT NULL,
    code TEXT NOT NULL,
    code_id INTEGER NOT NULL,
    PRIMARY KEY (scope_id, code)
) WITHOUT ROWID;
INSERT INTO "pv_active_codes" VALUES(1,'PM000000',4294967298);
INSERT INTO "pv_active_codes" VALUES(1,'PM000001',4294967299);
INSERT INTO "pv_active_codes" VALUES(1,'PM000002',4294967300);
INSERT INTO "pv_active_codes" VALUES(1,'PM000003',4294967301);
INSERT INTO "pv_active_codes" VALUES(1,'PM000004',4294967302);
INSERT INTO "pv_active_codes" VALUES(1,'PM000005',4294967303);
INSERT INTO "pv_active_codes" VALUES(1,'PM000006',4294967304);
INSERT INTO "pv_active_codes" VALUES(1,'PM000007',4294967305);
INSERT INTO "pv_active_codes" VALUES(1,'PM000008',4294967306);
INSERT INTO "pv_active_codes" VALUES(1,'PM000009',4294967307);
INSERT INTO "pv_active_codes" VALUES(1,'PM000010',4294967308);
INSERT INTO "pv_active_codes" VALUES(1,'PM000011',4294967309);
INSERT INTO "pv_active_codes" VALUES(1,'PM000012',4294967310);
INSERT INTO "pv_active_codes" VALUES(1,'PM000013',4294967311);
INSERT INTO "pv_active_codes" VALUES(1,'PM000014',4294967312);
INSERT INTO "pv_active_codes" VALUES(1,'PM000015',4294967313);
INSERT INTO "pv_active_codes" VALUES(1,'PM000016',4294967314);
INSERT INTO "pv_active_codes" VALUES(1,'PM000017',4294967315);
INSERT INTO "pv_active_codes" VALUES(1,'PM000018',4294967316);
INSERT INTO "pv_active_codes" VALUES(1,'PM000019',4294967317);
INSERT INTO "pv_active_codes" VALUES(1,'PM000020',4294967318);
INSERT INTO "pv_active_codes" VALUES(1,'PM000021',4294967319);
INSERT INTO "pv_active_codes" VALUES(1,'PM000022',4294967320);
INSERT INTO "pv_active_codes" VALUES(1,'PM000023',4294967321);
INSERT INTO "pv_active_codes" VALUES(1,'PM000024',4294967322);
INSERT INTO "pv_active_codes" VALUES(1,'PM000025',4294967323);
INSERT INTO "pv_active_codes" VALUES(1,'PM000026',4294967324);
INSERT INTO "pv_active_codes" VALUES(1,'PM000027',4294967325);
INSERT INTO "pv_active_codes" VALUES(1,'PM000028',4294967326);
INSERT INTO "pv_active_codes" VALUES(1,'PM000029',4294967327);
INSERT INTO "pv_active_codes" VALUES(1,'PM000030',4294967328);
INSERT INTO "pv_active_codes" VALUES(1,'PM000031',4294967329);
INSERT INTO "pv_active_codes" VALUES(1,'PM000032',4294967330);
INSERT INTO "pv_active_codes" VALUES(1,'PM000033',4294967331);
INSERT INTO "pv_active_codes" VALUES(1,'PM000034',4294967332);
INSERT INTO "pv_active_codes" VALUES(1,'PM000035',4294967333);
INSERT INTO "pv_active_codes" VALUES(1,'PM000036',4294967334);
INSERT INTO "pv_active_codes" VALUES(1,'PM000037',4294967335);
INSERT INTO "pv_active_codes" VALUES(1,'PM000038',4294967336);
INSERT INTO "pv_active_codes" VALUES(1,'PM000039',4294967337);
INSERT INTO "pv_active_codes" VALUES(1,'PM000040',4294967338);
INSERT INTO "pv_active_codes" VALUES(1,'PM000041',4294967339);
INSERT INTO "pv_active_codes" VALUES(1,'PM000042',4294967340);
INSERT INTO "pv_active_codes" VALUES(1,'PM000043',4294967341);
INSERT INTO "pv_active_codes" VALUES(1,'PM000044',4294967342);
INSERT INTO "pv_active_codes" VALUES(1,'PM000045',4294967343);
INSERT INTO "pv_active_codes" VALUES(1,'PM000046',4294967344);
INSERT INTO "pv_active_codes" VALUES(1,'PM000047',4294967345);
INSERT INTO "pv_active_codes" VALUES(1,'PM000048',4294967346);
INSERT INTO "pv_active_codes" VALUES(1,'PM000049',4294967347);
INSERT INTO "pv_active_codes" VALUES(1,'PM000050',4294967348);
INSERT INTO "pv_active_codes" VALUES(1,'PM000051',4294967349);
INSERT INTO "pv_active_codes" VALUES(1,'PM000052',4294967350);
INSERT INTO "pv_active_codes" VALUES(1,'PM000053',4294967351);
INSERT INTO "pv_active_codes" VALUES(1,'PM000054',4294967352);
INSERT INTO "pv_active_codes" VALUES(1,'PM000055',4294967353);
INSERT INTO "pv_active_codes" VALUES(1,'PM000056',4294967354);
INSERT INTO "pv_active_codes" VALUES(1,'PM000057',4294967355);
INSERT INTO "pv_active_codes" VALUES(1,'PM000058',4294967356);
INSERT INTO "pv_active_codes" VALUES(1,'PM000059',4294967357);
CREATE TABLE pv_assignments (
    code_id INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL,
    origin TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    assigned_at INTEGER NOT NULL,
    list_version INTEGER NOT NULL,
    UNIQUE (user_id, origin, ordinal)
);
INSERT INTO "pv_assignments" VALUES(4294967298,'user-0','c:CMP',1,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967299,'user-0','c:CMP',2,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967300,'user-1','c:CMP',1,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967301,'user-1','c:CMP',2,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967302,'user-2','c:CMP',1,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967303,'user-2','c:CMP',2,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967304,'user-3','c:CMP',1,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967305,'user-3','c:CMP',2,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967306,'user-4','c:CMP',1,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967307,'user-4','c:CMP',2,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967308,'user-5','c:CMP',1,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967309,'user-5','c:CMP',2,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967310,'user-6','c:CMP',1,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967311,'user-6','c:CMP',2,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967312,'user-7','c:CMP',1,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967313,'user-7','c:CMP',2,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967314,'user-8','c:CMP',1,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967315,'user-8','c:CMP',2,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967316,'user-9','c:CMP',1,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967317,'user-9','c:CMP',2,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967318,'user-10','c:CMP',1,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967319,'user-10','c:CMP',2,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967320,'user-11','c:CMP',1,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967321,'user-11','c:CMP',2,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967322,'user-0','c:CMP',3,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967323,'user-1','c:CMP',3,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967324,'user-2','c:CMP',3,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967325,'user-3','c:CMP',3,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967326,'user-4','c:CMP',3,1795262400000000,1);
INSERT INTO "pv_assignments" VALUES(4294967327,'user-5','c:CMP',3,1795262400000000,1);
CREATE TABLE pv_audit (
    id INTEGER PRIMARY KEY,
    list_id INTEGER,
    actor TEXT,
    name TEXT NOT NULL,
    payload TEXT NOT NULL
);
INSERT INTO "pv_audit" VALUES(1,NULL,NULL,'partner.added','{"occurred_at":"2026-11-21T12:00:00+00:00","list_id":null,"changes":[{"field":"partner","before":null,"after":"Puma"}]}');
INSERT INTO "pv_audit" VALUES(2,1,NULL,'list.created','{"occurred_at":"2026-11-21T12:00:00+00:00","list_id":"1","changes":[{"field":"partner","before":null,"after":"Puma"},{"field":"tag","before":null,"after":"tag_1"},{"field":"name","before":null,"after":"Winter Sale"},{"field":"description","before":null,"after":"₹500 off"},{"field":"expires_at","before":null,"after":"2027-03-31T23:59:59+00:00"},{"field":"state","before":null,"after":"Active"},{"field":"low_stock_at","before":null,"after":30}]}');
INSERT INTO "pv_audit" VALUES(3,1,'ops@example.com','upload.completed','{"occurred_at":"2026-11-21T12:00:00+00:00","list_id":"1","changes":[{"field":"upload","before":null,"after":"1"},{"field":"accepted","before":null,"after":60}]}');
INSERT INTO "pv_audit" VALUES(4,1,NULL,'campaign.linked','{"occurred_at":"2026-11-21T12:00:00+00:00","list_id":"1","changes":[{"field":"campaign_id","before":null,"after":"CMP"},{"field":"repeat","before":null,"after":"new code"},{"field":"priority","before":null,"after":0}]}');
CREATE TABLE pv_codes (
    id INTEGER PRIMARY KEY,
    code TEXT NOT NULL
);
INSERT INTO "pv_codes" VALUES(4294967298,'PM000000');
INSERT INTO "pv_codes" VALUES(4294967299,'PM000001');
INSERT INTO "pv_codes" VALUES(4294967300,'PM000002');
INSERT INTO "pv_codes" VALUES(4294967301,'PM000003');
INSERT INTO "pv_codes" VALUES(4294967302,'PM000004');
INSERT INTO "pv_codes" VALUES(4294967303,'PM000005');
INSERT INTO "pv_codes" VALUES(4294967304,'PM000006');
INSERT INTO "pv_codes" VALUES(4294967305,'PM000007');
INSERT INTO "pv_codes" VALUES(4294967306,'PM000008');
INSERT INTO "pv_codes" VALUES(4294967307,'PM000009');
INSERT INTO "pv_codes" VALUES(4294967308,'PM000010');
INSERT INTO "pv_codes" VALUES(4294967309,'PM000011');
INSERT INTO "pv_codes" VALUES(4294967310,'PM000012');
INSERT INTO "pv_codes" VALUES(4294967311,'PM000013');
INSERT INTO "pv_codes" VALUES(4294967312,'PM000014');
INSERT INTO "pv_codes" VALUES(4294967313,'PM000015');
INSERT INTO "pv_codes" VALUES(4294967314,'PM000016');
INSERT INTO "pv_codes" VALUES(4294967315,'PM000017');
INSERT INTO "pv_codes" VALUES(4294967316,'PM000018');
INSERT INTO "pv_codes" VALUES(4294967317,'PM000019');
INSERT INTO "pv_codes" VALUES(4294967318,'PM000020');
INSERT INTO "pv_codes" VALUES(4294967319,'PM000021');
INSERT INTO "pv_codes" VALUES(4294967320,'PM000022');
INSERT INTO "pv_codes" VALUES(4294967321,'PM000023');
INSERT INTO "pv_codes" VALUES(4294967322,'PM000024');
INSERT INTO "pv_codes" VALUES(4294967323,'PM000025');
INSERT INTO "pv_codes" VALUES(4294967324,'PM000026');
INSERT INTO "pv_codes" VALUES(4294967325,'PM000027');
INSERT INTO "pv_codes" VALUES(4294967326,'PM000028');
INSERT INTO "pv_codes" VALUES(4294967327,'PM000029');
INSERT INTO "pv_codes" VALUES(4294967328,'PM000030');
INSERT INTO "pv_codes" VALUES(4294967329,'PM000031');
INSERT INTO "pv_codes" VALUES(4294967330,'PM000032');
INSERT INTO "pv_codes" VALUES(4294967331,'PM000033');
INSERT INTO "pv_codes" VALUES(4294967332,'PM000034');
INSERT INTO "pv_codes" VALUES(4294967333,'PM000035');
INSERT INTO "pv_codes" VALUES(4294967334,'PM000036');
INSERT INTO "pv_codes" VALUES(4294967335,'PM000037');
INSERT INTO "pv_codes" VALUES(4294967336,'PM000038');
INSERT INTO "pv_codes" VALUES(4294967337,'PM000039');
INSERT INTO "pv_codes" VALUES(4294967338,'PM000040');
INSERT INTO "pv_codes" VALUES(4294967339,'PM000041');
INSERT INTO "pv_codes" VALUES(4294967340,'PM000042');
INSERT INTO "pv_codes" VALUES(4294967341,'PM000043');
INSERT INTO "pv_codes" VALUES(4294967342,'PM000044');
INSERT INTO "pv_codes" VALUES(4294967343,'PM000045');
INSERT INTO "pv_codes" VALUES(4294967344,'PM000046');
INSERT INTO "pv_codes" VALUES(4294967345,'PM000047');
INSERT INTO "pv_codes" VALUES(4294967346,'PM000048');
INSERT INTO "pv_codes" VALUES(4294967347,'PM000049');
INSERT INTO "pv_codes" VALUES(4294967348,'PM000050');
INSERT INTO "pv_codes" VALUES(4294967349,'PM000051');
INSERT INTO "pv_codes" VALUES(4294967350,'PM000052');
INSERT INTO "pv_codes" VALUES(4294967351,'PM000053');
INSERT INTO "pv_codes" VALUES(4294967352,'PM000054');
INSERT INTO "pv_codes" VALUES(4294967353,'PM000055');
INSERT INTO "pv_codes" VALUES(4294967354,'PM000056');
INSERT INTO "pv_codes" VALUES(4294967355,'PM000057');
INSERT INTO "pv_codes" VALUES(4294967356,'PM000058');
INSERT INTO "pv_codes" VALUES(4294967357,'PM000059');
CREATE TABLE pv_dead_ranges (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL
);
CREATE TABLE pv_held (
    position INTEGER NOT NULL,
    sink TEXT NOT NULL,
    lane INTEGER NOT NULL,
    key TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    retry_at INTEGER,
    reason TEXT NOT NULL,
    PRIMARY KEY (position, sink)
) WITHOUT ROWID;
INSERT INTO "pv_held" VALUES(7,'crm',11,'user:user-1',1,NULL,'no such user');
INSERT INTO "pv_held" VALUES(8,'crm',11,'user:user-1',1,NULL,'no such user');
INSERT INTO "pv_held" VALUES(9,'crm',1,'user:user-2',1,1795262400969745,'busy');
INSERT INTO "pv_held" VALUES(10,'crm',1,'user:user-2',0,1795262400000000,'');
CREATE TABLE pv_idempotency_keys (
    key TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    code_ids TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE pv_leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until INTEGER NOT NULL,
    process TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE pv_links (
    id INTEGER PRIMARY KEY,
    campaign_id TEXT NOT NULL,
    list_id INTEGER NOT NULL,
    repeat TEXT NOT NULL,
    priority INTEGER NOT NULL,
    eligibility TEXT,
    linked_at INTEGER NOT NULL,
    UNIQUE (campaign_id, list_id)
);
INSERT INTO "pv_links" VALUES(1,'CMP',1,'new code',0,NULL,1795262400000000);
CREATE TABLE pv_lists (
    id INTEGER PRIMARY KEY,
    partner TEXT NOT NULL,
    tag TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    low_stock_at TEXT,
    scope_id INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    removed INTEGER NOT NULL DEFAULT 0,
    search_text TEXT NOT NULL
);
INSERT INTO "pv_lists" VALUES(1,'Puma','tag_1','Winter Sale','₹500 off',1806537599000000,'Active','30',1,1795262400000000,1795262400000000,1,0,'puma
tag_1
winter sale
₹500 off');
CREATE TABLE pv_outbox (
    id INTEGER PRIMARY KEY,
    code_id INTEGER,
    name TEXT,
    payload TEXT
, lane INTEGER NOT NULL DEFAULT 0);
INSERT INTO "pv_outbox" VALUES(1,NULL,'partner.added','{"occurred_at":"2026-11-21T12:00:00+00:00","list_id":null,"changes":[{"field":"partner","before":null,"after":"Puma"}]}',0);
INSERT INTO "pv_outbox" VALUES(2,NULL,'list.created','{"occurred_at":"2026-11-21T12:00:00+00:00","list_id":"1","changes":[{"field":"partner","before":null,"after":"Puma"},{"field":"tag","before":null,"after":"tag_1"},{"field":"name","before":null,"after":"Winter Sale"},{"field":"description","before":null,"after":"₹500 off"},{"field":"expires_at","before":null,"after":"2027-03-31T23:59:59+00:00"},{"field":"state","before":null,"after":"Active"},{"field":"low_stock_at","before":null,"after":30}]}',3);
INSERT INTO "pv_outbox" VALUES(3,NULL,'upload.completed','{"occurred_at":"2026-11-21T12:00:00+00:00","list_id":"1","changes":[{"field":"upload","before":null,"after":"1"},{"field":"accepted","before":null,"after":60}]}',3);
INSERT INTO "pv_outbox" VALUES(4,NULL,'campaign.linked','{"occurred_at":"2026-11-21T12:00:00+00:00","list_id":"1","changes":[{"field":"campaign_id","before":null,"after":"CMP"},{"field":"repeat","before":null,"after":"new code"},{"field":"priority","before":null,"after":0}]}',3);
INSERT INTO "pv_outbox" VALUES(5,4294967298,NULL,NULL,13);
INSERT INTO "pv_outbox" VALUES(6,4294967299,NULL,NULL,13);
INSERT INTO "pv_outbox" VALUES(7,4294967300,NULL,NULL,11);
INSERT INTO "pv_outbox" VALUES(8,4294967301,NULL,NULL,11);
INSERT INTO "pv_outbox" VALUES(9,4294967302,NULL,NULL,1);
INSERT INTO "pv_outbox" VALUES(10,4294967303,NULL,NULL,1);
INSERT INTO "pv_outbox" VALUES(11,4294967304,NULL,NULL,7);
INSERT INTO "pv_outbox" VALUES(12,4294967305,NULL,NULL,7);
INSERT INTO "pv_outbox" VALUES(13,4294967306,NULL,NULL,4);
INSERT INTO "pv_outbox" VALUES(14,4294967307,NULL,NULL,4);
INSERT INTO "pv_outbox" VALUES(15,4294967308,NULL,NULL,2);
INSERT INTO "pv_outbox" VALUES(16,4294967309,NULL,NULL,2);
INSERT INTO "pv_outbox" VALUES(17,4294967310,NULL,NULL,8);
INSERT INTO "pv_outbox" VALUES(18,4294967311,NULL,NULL,8);
INSERT INTO "pv_outbox" VALUES(19,4294967312,NULL,NULL,14);
INSERT INTO "pv_outbox" VALUES(20,4294967313,NULL,NULL,14);
INSERT INTO "pv_outbox" VALUES(21,4294967314,NULL,NULL,15);
INSERT INTO "pv_outbox" VALUES(22,4294967315,NULL,NULL,15);
INSERT INTO "pv_outbox" VALUES(23,4294967316,NULL,NULL,9);
INSERT INTO "pv_outbox" VALUES(24,4294967317,NULL,NULL,9);
INSERT INTO "pv_outbox" VALUES(25,4294967318,NULL,NULL,15);
INSERT INTO "pv_outbox" VALUES(26,4294967319,NULL,NULL,15);
INSERT INTO "pv_outbox" VALUES(27,4294967320,NULL,NULL,9);
INSERT INTO "pv_outbox" VALUES(28,4294967321,NULL,NULL,9);
INSERT INTO "pv_outbox" VALUES(29,NULL,'CT Points Credited','{"occurred_at":"2026-11-21T12:00:00+00:00","user_id":"user-3","wallet_id":"W1","campaign_id":null,"source":"API","wallet_description":null,"points_description":null,"points":20,"transaction_id":"T1","ct_source":"API"}',7);
INSERT INTO "pv_outbox" VALUES(30,4294967322,NULL,NULL,13);
INSERT INTO "pv_outbox" VALUES(31,4294967323,NULL,NULL,11);
INSERT INTO "pv_outbox" VALUES(32,4294967324,NULL,NULL,1);
INSERT INTO "pv_outbox" VALUES(33,4294967325,NULL,NULL,7);
INSERT INTO "pv_outbox" VALUES(34,4294967326,NULL,NULL,4);
INSERT INTO "pv_outbox" VALUES(35,4294967327,NULL,NULL,2);
INSERT INTO "pv_outbox" VALUES(36,NULL,'list.running_low','{"occurred_at":"2026-11-21T12:00:00+00:00","list_id":"1","partner":"Puma","list_tag":"tag_1","available":30}',3);
CREATE TABLE pv_partners (
    name TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "pv_partners" VALUES('Puma',1795262400000000);
CREATE TABLE pv_progress (
    sink TEXT NOT NULL,
    lane INTEGER NOT NULL,
    position INTEGER NOT NULL,
    ahead TEXT NOT NULL,
    PRIMARY KEY (sink, lane)
) WITHOUT ROWID;
INSERT INTO "pv_progress" VALUES('audit',0,29,'[]');
INSERT INTO "pv_progress" VALUES('audit',1,29,'[]');
INSERT INTO "pv_progress" VALUES('audit',2,29,'[]');
INSERT INTO "pv_progress" VALUES('audit',3,29,'[]');
INSERT INTO "pv_progress" VALUES('audit',4,29,'[]');
INSERT INTO "pv_progress" VALUES('audit',5,0,'[]');
INSERT INTO "pv_progress" VALUES('audit',6,0,'[]');
INSERT INTO "pv_progress" VALUES('audit',7,29,'[]');
INSERT INTO "pv_progress" VALUES('audit',8,29,'[]');
INSERT INTO "pv_progress" VALUES('audit',9,29,'[]');
INSERT INTO "pv_progress" VALUES('audit',10,0,'[]');
INSERT INTO "pv_progress" VALUES('audit',11,29,'[]');
INSERT INTO "pv_progress" VALUES('audit',12,0,'[]');
INSERT INTO "pv_progress" VALUES('audit',13,29,'[]');
INSERT INTO "pv_progress" VALUES('audit',14,29,'[]');
INSERT INTO "pv_progress" VALUES('audit',15,29,'[]');
INSERT INTO "pv_progress" VALUES('crm',0,0,'[]');
INSERT INTO "pv_progress" VALUES('crm',1,29,'[]');
INSERT INTO "pv_progress" VALUES('crm',2,29,'[]');
INSERT INTO "pv_progress" VALUES('crm',3,29,'[]');
INSERT INTO "pv_progress" VALUES('crm',4,29,'[]');
INSERT INTO "pv_progress" VALUES('crm',5,0,'[]');
INSERT INTO "pv_progress" VALUES('crm',6,0,'[]');
INSERT INTO "pv_progress" VALUES('crm',7,12,'[]');
INSERT INTO "pv_progress" VALUES('crm',8,0,'[]');
INSERT INTO "pv_progress" VALUES('crm',9,29,'[]');
INSERT INTO "pv_progress" VALUES('crm',10,0,'[]');
INSERT INTO "pv_progress" VALUES('crm',11,29,'[]');
INSERT INTO "pv_progress" VALUES('crm',12,0,'[]');
INSERT INTO "pv_progress" VALUES('crm',13,29,'[]');
INSERT INTO "pv_progress" VALUES('crm',14,29,'[]');
INSERT INTO "pv_progress" VALUES('crm',15,0,'[]');
INSERT INTO "pv_progress" VALUES('third',0,36,'[]');
INSERT INTO "pv_progress" VALUES('third',1,0,'[]');
INSERT INTO "pv_progress" VALUES('third',2,0,'[]');
INSERT INTO "pv_progress" VALUES('third',3,36,'[]');
INSERT INTO "pv_progress" VALUES('third',4,36,'[]');
INSERT INTO "pv_progress" VALUES('third',5,0,'[]');
INSERT INTO "pv_progress" VALUES('third',6,0,'[]');
INSERT INTO "pv_progress" VALUES('third',7,0,'[]');
INSERT INTO "pv_progress" VALUES('third',8,36,'[]');
INSERT INTO "pv_progress" VALUES('third',9,23,'[27]');
INSERT INTO "pv_progress" VALUES('third',10,0,'[]');
INSERT INTO "pv_progress" VALUES('third',11,36,'[]');
INSERT INTO "pv_progress" VALUES('third',12,0,'[]');
INSERT INTO "pv_progress" VALUES('third',13,36,'[]');
INSERT INTO "pv_progress" VALUES('third',14,0,'[]');
INSERT INTO "pv_progress" VALUES('third',15,0,'[]');
CREATE TABLE pv_scopes (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE
);
INSERT INTO "pv_scopes" VALUES(1,'tag_1 Puma');
CREATE TABLE pv_sequences (
    name TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "pv_sequences" VALUES('list',1);
INSERT INTO "pv_sequences" VALUES('upload',1);
CREATE TABLE pv_settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "pv_settings" VALUES('catalog token','EC13F4CCEAC3C76997F365B1DB66479A');
INSERT INTO "pv_settings" VALUES('delivery pause third','[0, null]');
INSERT INTO "pv_settings" VALUES('duplicate policy','per partner and tag');
INSERT INTO "pv_settings" VALUES('schema version','2');
INSERT INTO "pv_settings" VALUES('storage id','e8e186ba63484ebaae1e77d21200e091');
CREATE TABLE pv_stock (
    list_id INTEGER PRIMARY KEY,
    uploaded INTEGER NOT NULL DEFAULT 0,
    distributed INTEGER NOT NULL DEFAULT 0,
    reserved INTEGER NOT NULL DEFAULT 0,
    withdrawn INTEGER NOT NULL DEFAULT 0,
    announced INTEGER NOT NULL DEFAULT 0,
    cursor INTEGER NOT NULL,
    published INTEGER NOT NULL,
    skip_from INTEGER NOT NULL,
    next_position INTEGER NOT NULL DEFAULT 1
);
INSERT INTO "pv_stock" VALUES(1,60,30,0,0,1,4294967327,4294967357,9223372036854775807,62);
CREATE TABLE pv_superseded_codes (
    code TEXT NOT NULL,
    code_id INTEGER NOT NULL,
    PRIMARY KEY (code, code_id)
) WITHOUT ROWID;
CREATE TABLE pv_terms (
    list_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (list_id, version)
) WITHOUT ROWID;
INSERT INTO "pv_terms" VALUES(1,1,'Winter Sale','₹500 off',1806537599000000);
CREATE TABLE pv_upload_faults (
    id INTEGER PRIMARY KEY,
    raw TEXT NOT NULL,
    kind TEXT NOT NULL,
    message TEXT NOT NULL
);
CREATE TABLE pv_upload_pieces (
    id INTEGER PRIMARY KEY,
    data BLOB NOT NULL
);
INSERT INTO "pv_upload_pieces" VALUES(1048576,X'504D3030303030300A504D3030303030310A504D3030303030320A504D3030303030330A504D3030303030340A504D3030303030350A504D3030303030360A504D3030303030370A504D3030303030380A504D3030303030390A504D3030303031300A504D3030303031310A504D3030303031320A504D3030303031330A504D3030303031340A504D3030303031350A504D3030303031360A504D3030303031370A504D3030303031380A504D3030303031390A504D3030303032300A504D3030303032310A504D3030303032320A504D3030303032330A504D3030303032340A504D3030303032350A504D3030303032360A504D3030303032370A504D3030303032380A504D3030303032390A504D3030303033300A504D3030303033310A504D3030303033320A504D3030303033330A504D3030303033340A504D3030303033350A504D3030303033360A504D3030303033370A504D3030303033380A504D3030303033390A504D3030303034300A504D3030303034310A504D3030303034320A504D3030303034330A504D3030303034340A504D3030303034350A504D3030303034360A504D3030303034370A504D3030303034380A504D3030303034390A504D3030303035300A504D3030303035310A504D3030303035320A504D3030303035330A504D3030303035340A504D3030303035350A504D3030303035360A504D3030303035370A504D3030303035380A504D3030303035390A');
CREATE TABLE pv_uploads (
    id INTEGER PRIMARY KEY,
    list_id INTEGER NOT NULL,
    uploaded_by TEXT NOT NULL,
    filename TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    status TEXT NOT NULL,
    finished_at INTEGER,
    size INTEGER,
    sha256 TEXT,
    encoding TEXT NOT NULL,
    header INTEGER,
    header_skipped INTEGER NOT NULL,
    total INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    errors TEXT NOT NULL,
    withdrawn INTEGER NOT NULL,
    failure TEXT,
    first_code INTEGER,
    last_code INTEGER
);
INSERT INTO "pv_uploads" VALUES(1,1,'ops@example.com','codes.csv',1795262400000000,'Completed',1795262400000000,540,'8dcb0c1dc5a10b269e9fefe054fcd867e93110cec2f095afc1619e79507661bd','utf-8',NULL,0,60,60,'{}',0,NULL,4294967298,4294967357);
CREATE UNIQUE INDEX pv_lists_tag ON pv_lists (partner, tag) WHERE state <> 'Archived' AND removed = 0;
CREATE INDEX pv_lists_updated_at ON pv_lists (updated_at, id) WHERE removed = 0;
CREATE INDEX pv_lists_scope ON pv_lists (scope_id);
CREATE INDEX pv_lists_removed ON pv_lists (id) WHERE removed = 1;
CREATE INDEX pv_links_list ON pv_links (list_id);
CREATE INDEX pv_audit_list ON pv_audit (list_id) WHERE list_id IS NOT NULL;
CREATE INDEX pv_audit_actor ON pv_audit (actor) WHERE actor IS NOT NULL;
CREATE INDEX pv_uploads_list ON pv_uploads (list_id, id);
CREATE INDEX pv_uploads_running ON pv_uploads (id) WHERE status = 'In Progress';
CREATE INDEX pv_uploads_sha256 ON pv_uploads (list_id, sha256) WHERE status = 'Completed';
CREATE INDEX pv_held_keys ON pv_held (sink, lane, key, position) WHERE retry_at IS NOT NULL;
CREATE INDEX pv_held_due ON pv_held (sink, lane, retry_at) WHERE retry_at IS NOT NULL;
CREATE INDEX pv_held_dead ON pv_held (sink, position) WHERE retry_at IS NULL;
CREATE INDEX pv_lists_expires_at ON pv_lists (expires_at, id) WHERE removed = 0;
COMMIT;
