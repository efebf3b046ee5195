-- description: The snapshots that exist: protected names of versions, of one folio or (folio is null) of the lake.
-- grain: one row per (folio, name)
-- source: stg_manifests
with latest as (
    select max(position) as position
    from stg_manifests
    where op in ('snapshot', 'drop_snapshot')
    group by folio, snapshot
),

-- versions made by compaction have no rows, so a target's time is that of the last change at or before it
times as (
    select version, min(committed_at) as committed_at
    from stg_manifests
    group by version
),

live as (
    select rows.*
    from stg_manifests as rows
    inner join latest on rows.position = latest.position
    where rows.op = 'snapshot'
)

select
    live.snapshot as name,
    live.folio,
    live.target_version,
    times.committed_at as target_committed_at,
    live.version,
    live.committed_at,
    live.author,
    live.description,
    live.tags,
    live.extra,
    live.commit_id
from live
asof left join times on live.target_version >= times.version
