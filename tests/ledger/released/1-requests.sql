BEGIN TRANSACTION;
CREATE TABLE migrations (name TEXT PRIMARY KEY, applied_at TEXT NOT NULL);
INSERT INTO "migrations" VALUES('requests','2026-11-27T19:43:44.506Z');
CREATE TABLE requests (
            id TEXT PRIMARY KEY,
            instance TEXT NOT NULL,
            started_at TEXT NOT NULL,
            finished_at TEXT,
            kind TEXT NOT NULL CHECK (kind IN ('inference', 'count', 'other')),
            session TEXT NOT NULL,
            run TEXT,
            agent TEXT,
            parent_agent TEXT,
            gateway TEXT NOT NULL,
            tags TEXT NOT NULL,
            project TEXT,
            repo TEXT,
            branch TEXT,
            client TEXT,
            method TEXT NOT NULL,
            path TEXT NOT NULL,
            model_requested TEXT,
            model_sent TEXT,
            model_served TEXT,
            stream INTEGER,
            status INTEGER,
            outcome TEXT,
            error_type TEXT,
            stop_reason TEXT,
            message_id TEXT,
            request_id TEXT,
            input_tokens INTEGER,
            output_tokens INTEGER,
            cache_read_tokens INTEGER,
            cache_write_5m_tokens INTEGER,
            cache_write_1h_tokens INTEGER,
            thinking_tokens INTEGER,
            web_search_requests INTEGER,
            web_fetch_requests INTEGER,
            iterations TEXT,
            service_tier TEXT,
            speed TEXT,
            inference_geo TEXT,
            cache_status TEXT,
            usage_source TEXT,
            billing TEXT NOT NULL,
            cost_nanousd INTEGER,
            price_source TEXT,
            reported_cost_usd REAL,
            bytes_in INTEGER,
            bytes_out INTEGER,
            first_byte_ms REAL,
            duration_ms REAL,
            retry_count INTEGER
        );
INSERT INTO "requests" VALUES('01a1fbf1-0000-7000-8000-000000000001','one','2026-10-12T09:30:00.250Z','2026-10-12T09:30:02.250Z','inference','s1','r1',NULL,NULL,'anthropic','["laptop", "review"]','sidecar','github.com/a/b','main','claude-cli','POST','/v1/messages','claude-sonnet-4-5','claude-sonnet-4-5','claude-sonnet-4-5-20250929',1,200,'complete',NULL,'end_turn','msg_01',NULL,10,7,5000,100,200,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'final','metered',3210000,'genai-prices 0.2.3 anthropic/claude-sonnet-4-5',NULL,100,2000,310.5,2000.0,0);
INSERT INTO "requests" VALUES('01a1fbf1-0000-7000-8000-000000000002','one','2026-10-12T09:31:00.250Z','2026-10-12T09:31:02.250Z','inference','s2','r1','a1',NULL,'anthropic','[]','sidecar','github.com/a/b',NULL,'claude-cli','POST','/v1/messages','claude-sonnet-4-5','claude-sonnet-4-5','claude-sonnet-4-5-20250929',1,200,'complete',NULL,'end_turn','msg_01',NULL,10,7,5000,100,200,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'final','metered',3210000,'genai-prices 0.2.3 anthropic/claude-sonnet-4-5',NULL,100,2000,310.5,2000.0,0);
INSERT INTO "requests" VALUES('01a1fbf1-0000-7000-8000-000000000003','one','2026-10-12T11:30:00.250Z','2026-10-12T11:30:02.250Z','inference','s2','r1',NULL,NULL,'vercel','["laptop", "review"]','sidecar','github.com/a/b','main','claude-cli','POST','/v1/messages','claude-sonnet-4-5','claude-sonnet-4-5',NULL,1,529,'upstream_error','overloaded_error',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'none','metered',NULL,'no usage reported',NULL,100,2000,310.5,2000.0,0);
INSERT INTO "requests" VALUES('01a1fbf1-0000-7000-8000-000000000004','one','2026-11-21T09:30:00.250Z','2026-11-21T09:30:02.250Z','inference','s1','r1',NULL,NULL,'anthropic','["laptop", "review"]','sidecar','github.com/a/b','main','claude-cli','POST','/v1/messages','claude-sonnet-4-5','claude-sonnet-4-5','claude-sonnet-4-5-20250929',1,200,'complete',NULL,'end_turn','msg_01',NULL,10,7,5000,100,200,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'final','metered',3210000,'genai-prices 0.2.3 anthropic/claude-sonnet-4-5',NULL,100,2000,310.5,2000.0,0);
INSERT INTO "requests" VALUES('01a1fbf1-0000-7000-8000-000000000005','one','2026-11-21T09:30:01.250Z','2026-11-21T09:30:03.250Z','inference','s2','r1','a1',NULL,'anthropic','["laptop", "review"]','sidecar','github.com/a/b','main','claude-cli','POST','/v1/messages','claude-sonnet-4-5','claude-sonnet-4-5','claude-sonnet-4-5-20250929',1,200,'complete',NULL,'end_turn','msg_01',NULL,10,7,5000,100,200,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'final','subscription',3210000,'genai-prices 0.2.3 anthropic/claude-sonnet-4-5',NULL,100,2000,310.5,2000.0,0);
INSERT INTO "requests" VALUES('01a1fbf1-0000-7000-8000-000000000006','one','2026-11-21T09:30:02.250Z','2026-11-21T09:30:04.250Z','inference','s1','r1',NULL,NULL,'vercel','["laptop", "review"]','sidecar','github.com/a/b','main','claude-cli','POST','/v1/messages','claude-sonnet-4-5','claude-sonnet-4-5','claude-sonnet-4-5-20250929',1,200,'complete',NULL,'end_turn','msg_01',NULL,10,7,5000,100,200,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'final','metered',3210000,'genai-prices 0.2.3 anthropic/claude-sonnet-4-5',0.25,100,2000,310.5,2000.0,0);
INSERT INTO "requests" VALUES('01a1fbf1-0000-7000-8000-000000000007','one','2026-11-21T09:30:03.250Z','2026-11-21T09:30:05.250Z','inference','s1','r1',NULL,NULL,'anthropic','["laptop", "review"]','sidecar','github.com/a/b','main','claude-cli','POST','/v1/messages','claude-sonnet-4-5','claude-sonnet-4-5','house-small',1,200,'complete',NULL,'end_turn','msg_01',NULL,10,7,5000,100,200,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'final','metered',NULL,'genai-prices 0.2.3 has no price for ''house-small'' at anthropic',NULL,100,2000,310.5,2000.0,0);
INSERT INTO "requests" VALUES('01a1fbf1-0000-7000-8000-000000000008','one','2026-11-21T09:50:00.250Z','2026-11-21T09:50:02.250Z','count','s1','r1',NULL,NULL,'anthropic','["laptop", "review"]','sidecar','github.com/a/b','main','claude-cli','POST','/v1/messages','claude-sonnet-4-5','claude-sonnet-4-5',NULL,1,200,'complete',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'none','metered',NULL,NULL,NULL,100,2000,310.5,2000.0,0);
INSERT INTO "requests" VALUES('01a1fbf1-0000-7000-8000-000000000009','one','2026-11-21T10:10:00.250Z',NULL,'inference','s3','r1',NULL,NULL,'anthropic','["laptop", "review"]','sidecar','github.com/a/b','main','claude-cli','POST','/v1/messages','claude-sonnet-4-5','claude-sonnet-4-5',NULL,1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'metered',NULL,NULL,NULL,NULL,NULL,NULL,NULL,0);
CREATE INDEX requests_by_start ON requests (started_at);
CREATE INDEX requests_by_session ON requests (session, started_at);
CREATE INDEX requests_open ON requests (instance) WHERE finished_at IS NULL;
COMMIT;
