-- description: The events. metadata is the JSON that was logged: metadata ->> '$.loss' reaches a key. Through
--   lakefolio it is whole; over the tables alone, an event with storage 'blob' shows only its short members.
-- grain: one row per event_id
-- source: stg_event_rows
select
    event_id,
    run_id,
    model_name,
    stage,
    event_type,
    logged_at,
    -- text that is not JSON is shown as it is rather than making every query fail
    coalesce(try_cast(metadata as json), to_json(metadata)) as metadata,
    storage,
    digest,
    size_bytes,
    stored_bytes,
    version
from stg_event_rows
