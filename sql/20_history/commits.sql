-- description: The commits: atomic sets of changes, with who, when, why and how much.
-- grain: one row per commit_id
-- source: stg_manifests
select
    min(version) as version,
    commit_id,
    min(committed_at) as committed_at,
    min_by(author, position) as author,
    min_by(message, position) as message,
    min_by(run_id, position) as run_id,
    count(*) as change_count,
    count(*) filter (where op = 'put') as put_count,
    count(*) filter (where op = 'delete') as delete_count,
    count(*) filter (where op = 'snapshot') as snapshot_count,
    coalesce(list_sort(list(distinct folio) filter (where folio is not null)), cast([] as varchar[])) as folios,
    try_cast(coalesce(sum(size_bytes) filter (where op = 'put'), 0) as bigint) as size_bytes
from stg_manifests
group by commit_id
