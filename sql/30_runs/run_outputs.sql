-- description: What runs made: the entries that were put by them.
-- grain: one row per (run_id, entry_id)
-- source: stg_manifests
select
    min_by(run_id, position) as run_id,
    min_by(item, position) as name,
    min_by(folio, position) as folio,
    min_by(item, position) as item,
    min(version) as version,
    entry_id,
    min_by(digest, position) as digest,
    min_by(kind, position) as kind,
    min_by(size_bytes, position) as size_bytes
from stg_manifests
where op = 'put' and run_id is not null
group by entry_id
