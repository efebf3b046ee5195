-- description: The versions that each item has of its own: number, label and the aliases that name it now. An update, an
--   archive and a restore make no new version; version and entry_id are those of the newest entry of each.
-- grain: one row per (folio, item, number)
-- source: stg_manifests, current_metadata
with recursive puts as (
    select
        folio,
        item,
        version,
        position,
        committed_at,
        author,
        entry_id,
        size_bytes,
        try_cast(extra as json) ->> '$.version' as label,
        reason is not distinct from 'update' and row_number() over (
            partition by folio, item order by position
        ) > 1 as is_update,
        row_number() over (partition by folio, item, entry_id order by position) = 1 as is_first
    from stg_manifests
    where op = 'put' and folio is not null and item is not null and entry_id is not null
),

-- an update has the number of the row before it: of the last one that made a version or put an entry again
counted as (
    select
        *,
        is_first and not is_update as is_new,
        count(*) filter (where is_first and not is_update) over (
            partition by folio, item order by position rows unbounded preceding
        ) as news,
        count(*) filter (where not (is_first and is_update)) over (
            partition by folio, item order by position rows unbounded preceding
        ) as anchor
    from puts
),

anchors as (
    select folio, item, anchor, entry_id, is_new, news
    from counted
    where not (is_first and is_update)
),

followed as (
    select folio, item, entry_id, anchor
    from counted
    where is_first

    union all

    select followed.folio, followed.item, followed.entry_id, counted.anchor
    from followed
    inner join anchors
        on
            followed.folio = anchors.folio
            and followed.item = anchors.item
            and followed.anchor = anchors.anchor
            and not anchors.is_new
    inner join counted
        on
            anchors.folio = counted.folio
            and anchors.item = counted.item
            and anchors.entry_id = counted.entry_id
            and counted.is_first
),

numbered as (
    select followed.folio, followed.item, followed.entry_id, anchors.news as number
    from followed
    inner join anchors
        on
            followed.folio = anchors.folio
            and followed.item = anchors.item
            and followed.anchor = anchors.anchor
            and anchors.is_new
),

named as (
    select
        subject_id as folio,
        regexp_extract(key, '^lakefolio\.alias:(.*)@([^@]*)$', 1) as item,
        try_cast(value as bigint) as number,
        list(regexp_extract(key, '^lakefolio\.alias:(.*)@([^@]*)$', 2) order by key) as aliases
    from current_metadata
    where subject_kind = 'folio' and starts_with(key, 'lakefolio.alias:')
    group by all
),

versions as (
    select
        puts.folio,
        puts.item,
        numbered.number,
        arg_max(puts.label, puts.position) filter (
            where regexp_full_match(puts.label, '[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?')
        ) as label,
        max(puts.version) as version,
        arg_max(puts.entry_id, puts.position) as entry_id,
        min(puts.committed_at) as committed_at,
        arg_min(puts.author, puts.position) as author,
        arg_max(puts.size_bytes, puts.position) as size_bytes
    from puts
    inner join numbered
        on puts.folio = numbered.folio and puts.item = numbered.item and puts.entry_id = numbered.entry_id
    group by puts.folio, puts.item, numbered.number
)

select
    versions.folio,
    versions.item,
    versions.number,
    versions.label,
    coalesce(named.aliases, cast([] as varchar[])) as aliases,
    versions.version,
    versions.entry_id,
    versions.committed_at,
    versions.author,
    versions.size_bytes
from versions
left join named
    on versions.folio = named.folio and versions.item = named.item and versions.number = named.number
