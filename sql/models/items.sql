-- description: What the lake holds now: the latest entry of every item that is not deleted. Archived items are among
--   them, with archived = true, and so are items of folios that the library keeps, such as code and environments.
-- grain: one row per (folio, item)
-- source: model_heads
select
    folio,
    item,
    version,
    committed_at,
    entry_id,
    reason,
    kind,
    format,
    media_type,
    storage,
    codec,
    digest,
    blob_digest,
    generation,
    size_bytes,
    stored_bytes,
    row_count,
    uri,
    description,
    coalesce(tags, cast([] as varchar[])) as tags,
    details,
    coalesce(archived, false) as archived,
    cast(coalesce(len(inputs), 0) as integer) as lineage_count,
    cast(coalesce(len(facts), 0) as integer) as metadata_count,
    author,
    message,
    run_id,
    commit_id,
    cast(null as blob) as content
from model_heads
