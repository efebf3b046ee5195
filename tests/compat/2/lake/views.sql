-- The relations of this lake for DuckDB: no other program is needed. In DuckDB's shell:
--
--   INSTALL delta; LOAD delta;
--   SET VARIABLE lake = 's3://bucket/lake';   -- or the folder: where this file lies
--   SET TimeZone = 'UTC';
--   .read views.sql
--   SELECT * FROM items;
--   FROM history_of('my-folio', 'my-item');
--   SELECT name, params ->> 'lr', metrics ->> 'auc' FROM runs;   -- also metrics, run_inputs, run_outputs
--
-- Everything is read off the journal (tables/manifests) and says what it says now. The state at version 17:
--   FROM entries WHERE version <= 17 AND (superseded_version IS NULL OR superseded_version > 17)

create or replace view "manifests" as
select * from delta_scan(getvariable('lake') || '/tables/manifests');

create or replace view "metric_rows" as
select * from delta_scan(getvariable('lake') || '/tables/metric_rows');

create or replace view "event_rows" as
select * from delta_scan(getvariable('lake') || '/tables/event_rows');

create or replace view "stg_event_rows" as
with batches as (
    select entry_id as batch_id, cast(min(version) as bigint) as version
    from manifests
    where op = 'events' and entry_id is not null
    group by entry_id
)

select
    batches.version as version,
    cast(event_rows.ordinal as integer) as ordinal,
    cast(event_rows.batch_id as varchar) as batch_id,
    cast(event_rows.event_id as varchar) as event_id,
    cast(event_rows.run_id as varchar) as run_id,
    cast(event_rows.model_name as varchar) as model_name,
    cast(event_rows.stage as varchar) as stage,
    cast(event_rows.event_type as varchar) as event_type,
    cast(event_rows.logged_at as timestamp with time zone) as logged_at,
    cast(event_rows.metadata as varchar) as metadata,
    cast(event_rows.storage as varchar) as storage,
    cast(event_rows.codec as varchar) as codec,
    cast(event_rows.digest as varchar) as digest,
    cast(event_rows.blob_digest as varchar) as blob_digest,
    cast(event_rows.size_bytes as bigint) as size_bytes,
    cast(event_rows.stored_bytes as bigint) as stored_bytes
from event_rows
inner join batches on event_rows.batch_id = batches.batch_id
;
create or replace view "stg_manifests" as
select
    cast(version as bigint) as version,
    cast(ordinal as integer) as ordinal,
    -- one number that sorts like (version, ordinal)
    cast(version as bigint) * 4294967296 + cast(ordinal as bigint) as position,
    cast(committed_at as timestamp with time zone) as committed_at,
    cast(commit_id as varchar) as commit_id,
    cast(op as varchar) as op,
    cast(reason as varchar) as reason,
    cast(author as varchar) as author,
    cast(message as varchar) as message,
    cast(folio as varchar) as folio,
    cast(item as varchar) as item,
    cast(entry_id as varchar) as entry_id,
    cast(run_id as varchar) as run_id,
    cast(kind as varchar) as kind,
    cast(format as varchar) as format,
    cast(media_type as varchar) as media_type,
    cast(storage as varchar) as storage,
    cast(codec as varchar) as codec,
    cast(digest as varchar) as digest,
    cast(blob_digest as varchar) as blob_digest,
    cast(generation as integer) as generation,
    cast(size_bytes as bigint) as size_bytes,
    cast(stored_bytes as bigint) as stored_bytes,
    cast(row_count as bigint) as row_count,
    cast(content as blob) as content,
    cast(uri as varchar) as uri,
    cast(description as varchar) as description,
    coalesce(cast(tags as varchar[]), cast([] as varchar[])) as tags,
    cast(details as varchar) as details,
    coalesce(cast(archived as boolean), false) as archived,
    inputs,
    facts,
    cast(coalesce(len(inputs), 0) as integer) as lineage_count,
    cast(coalesce(len(facts), 0) as integer) as metadata_count,
    cast(snapshot as varchar) as snapshot,
    cast(target_version as bigint) as target_version,
    cast(extra as varchar) as extra
from manifests
;
create or replace view "stg_metric_rows" as
with batches as (
    select
        entry_id as batch_id,
        cast(min(version) as bigint) as version,
        min(cast(version as bigint) * 4294967296 + cast(ordinal as bigint)) as position
    from manifests
    where op = 'metrics' and entry_id is not null
    group by entry_id
)

select
    batches.version as version,
    batches.position as position,
    cast(metric_rows.ordinal as integer) as ordinal,
    cast(metric_rows.batch_id as varchar) as batch_id,
    cast(metric_rows.run_id as varchar) as run_id,
    cast(metric_rows.name as varchar) as name,
    cast(metric_rows.step as bigint) as step,
    cast(metric_rows.value as double) as value,
    cast(metric_rows.logged_at as timestamp with time zone) as logged_at
from metric_rows
inner join batches on metric_rows.batch_id = batches.batch_id
;
create or replace view "stg_lineage" as
with telling as (
    select
        version,
        position,
        committed_at,
        commit_id,
        op,
        folio,
        item,
        entry_id,
        run_id,
        inputs
    from stg_manifests
    where op in ('put', 'run') and len(inputs) > 0
    qualify op <> 'put' or row_number() over (partition by op, entry_id order by position) = 1
),

edges as (
    select
        * exclude (inputs),
        unnest(inputs) as edge,
        generate_subscripts(inputs, 1) - 1 as ordinal
    from telling
)

select
    version,
    position,
    committed_at,
    commit_id,
    cast(ordinal as integer) as ordinal,
    case when op = 'put' then 'entry' else 'run' end as output_kind,
    case when op = 'put' then entry_id else run_id end as output_id,
    folio as output_folio,
    item as output_item,
    edge.input_kind as input_kind,
    edge.input_id as input_id,
    edge.input_folio as input_folio,
    edge.input_item as input_item,
    edge.input_uri as input_uri,
    edge.input_digest as input_digest,
    edge.run_id as run_id,
    edge.role as role,
    edge.details as details
from edges
;
create or replace view "stg_metadata" as
with telling as (
    select
        version,
        position,
        committed_at,
        commit_id,
        op,
        folio,
        item,
        entry_id,
        run_id,
        facts
    from stg_manifests
    where op in ('put', 'run', 'annotate') and len(facts) > 0
    qualify op <> 'put' or row_number() over (partition by op, entry_id order by position) = 1
),

noted as (
    select
        * exclude (facts),
        unnest(facts) as fact,
        generate_subscripts(facts, 1) - 1 as ordinal
    from telling
)

select
    version,
    position,
    committed_at,
    commit_id,
    cast(ordinal as integer) as ordinal,
    case
        when op = 'put' then 'entry'
        when op = 'run' then 'run'
        when folio is null then 'lake'
        else 'folio'
    end as subject_kind,
    case op when 'put' then entry_id when 'run' then run_id else coalesce(folio, '') end as subject_id,
    folio,
    item,
    fact.key as key,
    fact.value as value,
    fact.value_number as value_number
from noted
;
create or replace view "blob_refs" as
with puts as (
    select
        folio,
        item,
        entry_id,
        blob_digest,
        coalesce(generation, 0) as generation,
        bool_or(op = 'event_blob') as is_event,
        min(version) as version,
        min(position) as position,
        max(position) as last_position,
        max(coalesce(size_bytes, 0)) as size_bytes,
        max(coalesce(stored_bytes, 0)) as stored_bytes
    from stg_manifests
    where op in ('put', 'event_blob') and storage in ('blob', 'chunked', 'packed') and blob_digest is not null
    group by folio, item, entry_id, blob_digest, coalesce(generation, 0)
),

heads as (
    select folio, item, max(position) as position
    from stg_manifests
    where op in ('put', 'delete')
    group by folio, item
),

-- a purge gives up its generation and all before
purges as (
    select blob_digest, max(coalesce(generation, 0)) as generation
    from stg_manifests
    where op = 'purge'
    group by blob_digest
)

select
    puts.blob_digest,
    puts.generation,
    'blobs/sha256/' || substr(puts.blob_digest, 8, 2) || '/' || substr(puts.blob_digest, 8)
    || case when puts.generation > 0 then '.' || puts.generation else '' end as key,
    puts.folio,
    puts.item,
    puts.entry_id,
    puts.version,
    puts.position,
    puts.size_bytes,
    puts.stored_bytes,
    puts.is_event or coalesce(heads.position = puts.last_position, false) as is_live,
    coalesce(puts.generation <= purges.generation, false) as purged
from puts
left join heads on puts.folio = heads.folio and puts.item = heads.item
left join purges on puts.blob_digest = purges.blob_digest
;
create or replace view "entries" as
with changes as (
    select
        *,
        -- the change that ended this one: the next of the same name
        lead(version) over (partition by folio, item order by position) as superseded_version
    from stg_manifests
    where op in ('put', 'delete')
)

select
    folio,
    item,
    version,
    ordinal,
    committed_at,
    superseded_version,
    superseded_version is null as is_live,
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
    tags,
    details,
    archived,
    lineage_count,
    metadata_count,
    author,
    message,
    run_id,
    commit_id,
    content
from changes
where op = 'put'
;
create or replace view "items" as
with latest as (
    select max(position) as position
    from stg_manifests
    where op in ('put', 'delete')
    group by folio, item
)

select
    rows.folio,
    rows.item,
    rows.version,
    rows.committed_at,
    rows.entry_id,
    rows.reason,
    rows.kind,
    rows.format,
    rows.media_type,
    rows.storage,
    rows.codec,
    rows.digest,
    rows.blob_digest,
    rows.generation,
    rows.size_bytes,
    rows.stored_bytes,
    rows.row_count,
    rows.uri,
    rows.description,
    rows.tags,
    rows.details,
    rows.archived,
    rows.lineage_count,
    rows.metadata_count,
    rows.author,
    rows.message,
    rows.run_id,
    rows.commit_id,
    rows.content
from stg_manifests as rows
inner join latest on rows.position = latest.position
where rows.op = 'put'
;
create or replace view "commits" as
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
    cast(coalesce(sum(size_bytes) filter (where op = 'put'), 0) as bigint) as size_bytes
from stg_manifests
group by commit_id
;
create or replace view "snapshots" as
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
;
create or replace view "lineage" as
select
    version,
    commit_id,
    ordinal,
    output_kind,
    output_id,
    output_folio,
    output_item,
    input_kind,
    input_id,
    input_folio,
    input_item,
    input_uri,
    input_digest,
    run_id,
    role,
    details
from stg_lineage
;
create or replace view "lineage_edges" as
with entries_first as (
    select entry_id, min(version) as version
    from stg_manifests
    where op = 'put'
    group by entry_id
)

select
    stg_lineage.version,
    stg_lineage.committed_at,
    stg_lineage.output_kind,
    stg_lineage.output_id,
    stg_lineage.output_folio,
    stg_lineage.output_item,
    stg_lineage.input_kind,
    stg_lineage.input_id,
    stg_lineage.input_folio,
    stg_lineage.input_item,
    entries_first.version as input_version,
    stg_lineage.input_uri,
    stg_lineage.input_digest,
    stg_lineage.run_id,
    stg_lineage.role,
    stg_lineage.details,
    stg_lineage.commit_id,
    stg_lineage.ordinal
from stg_lineage
left join entries_first
    on case when stg_lineage.input_kind = 'entry' then stg_lineage.input_id end = entries_first.entry_id
;
create or replace view "current_metadata" as
with ranked as (
    select
        *,
        row_number() over (
            partition by subject_kind, subject_id, key
            order by position desc, ordinal desc
        ) as rank
    from stg_metadata
)

select
    subject_kind,
    subject_id,
    folio,
    item,
    key,
    value,
    value_number,
    version,
    committed_at
from ranked
where rank = 1 and value is not null
;
create or replace view "metadata" as
select
    version,
    commit_id,
    ordinal,
    subject_kind,
    subject_id,
    folio,
    item,
    key,
    value,
    value_number
from stg_metadata
;
create or replace view "item_metadata" as
select
    items.folio,
    items.item,
    items.version,
    items.entry_id,
    current_metadata.key,
    current_metadata.value,
    current_metadata.value_number
from items
inner join current_metadata
    on current_metadata.subject_kind = 'entry' and items.entry_id = current_metadata.subject_id
;
create or replace view "storage_savings" as
with inlined as (
    select folio, item, entry_id, max(octet_length(content)) as bytes
    from entries
    where storage = 'inline'
    group by folio, item, entry_id
),

objects as (
    select
        blob_digest,
        generation,
        min_by(folio, position) as first_folio,
        count(distinct folio) as folio_count,
        max(stored_bytes) as bytes
    from blob_refs
    where not purged and folio is not null
    group by blob_digest, generation
),

purges as (
    select blob_digest, max(coalesce(generation, 0)) as generation
    from stg_manifests
    where op = 'purge'
    group by blob_digest
),

used_by_runs as (
    select
        pins.folio,
        coalesce(pins.size_bytes, 0) as bytes,
        -- the first use of an entry is the entry itself, each further one would be a copy
        row_number() over (partition by pins.entry_id order by pins.position) = 1 as is_entry
    from stg_manifests as pins
    left join purges on pins.blob_digest = purges.blob_digest
    where
        pins.op = 'pin'
        and pins.storage <> 'reference'
        and (purges.generation is null or coalesce(pins.generation, 0) > purges.generation)
),

parts as (
    select folio, 0 as logical_bytes, 0 as stored_bytes, 0 as shared_bytes, 0 as exclusive_bytes, 0 as entry_count
    from entries
    group by folio

    union all

    select folio, bytes, bytes, 0, bytes, 1
    from inlined

    union all

    select folio, size_bytes, 0, 0, 0, 1
    from blob_refs
    where not purged and folio is not null

    union all

    select folio, bytes, 0, 0, 0, 0
    from used_by_runs
    where not is_entry

    union all

    select first_folio, 0, bytes, 0, 0, 0
    from objects

    union all

    select
        used.folio,
        0,
        0,
        case when objects.folio_count > 1 then objects.bytes else 0 end,
        case when objects.folio_count = 1 then objects.bytes else 0 end,
        0
    from (select distinct folio, blob_digest, generation from blob_refs where not purged and folio is not null) as used
    inner join objects on used.blob_digest = objects.blob_digest and used.generation = objects.generation
)

select
    folio,
    cast(sum(entry_count) as bigint) as entry_count,
    cast(sum(logical_bytes) as bigint) as logical_bytes,
    cast(sum(stored_bytes) as bigint) as stored_bytes,
    cast(sum(logical_bytes) - sum(stored_bytes) as bigint) as saved_bytes,
    cast(sum(logical_bytes) - sum(stored_bytes) as double) / nullif(sum(logical_bytes), 0) as saved_ratio,
    cast(sum(shared_bytes) as bigint) as shared_bytes,
    cast(sum(exclusive_bytes) as bigint) as exclusive_bytes
from parts
group by folio
;
create or replace view "events" as
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
;
create or replace view "metrics" as
select
    run_id,
    name,
    step,
    value,
    logged_at,
    version,
    position as batch,
    ordinal
from stg_metric_rows
;
create or replace view "run_inputs" as
with puts as (
    select
        entry_id,
        min(version) as version,
        min_by(kind, position) as kind,
        min_by(size_bytes, position) as size_bytes
    from stg_manifests
    where op = 'put'
    group by entry_id
)

select
    edges.output_id as run_id,
    edges.role as name,
    edges.input_folio as folio,
    edges.input_item as item,
    puts.version,
    edges.input_id as entry_id,
    edges.input_uri as uri,
    edges.input_digest as digest,
    puts.kind,
    puts.size_bytes
from stg_lineage as edges
left join puts on edges.input_kind = 'entry' and edges.input_id = puts.entry_id
where edges.output_kind = 'run'
;
create or replace view "run_outputs" as
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
;
create or replace view "runs" as
with inputs as (
    select
        output_id as run_id,
        count(distinct coalesce(input_id, input_uri)) as input_count
    from stg_lineage
    where output_kind = 'run'
    group by output_id
),

outputs as (
    select run_id, count(distinct entry_id) as output_count
    from stg_manifests
    where op = 'put' and run_id is not null
    group by run_id
),

-- the last value set for each key, unless it was removed
facts as (
    select
        subject_id as run_id,
        key,
        arg_max_null(value, cast(position as hugeint) * 4294967296 + ordinal) as value,
        min(version) as version
    from stg_metadata
    where subject_kind = 'run'
    group by subject_id, key
),

going_on as (
    select run_id
    from facts
    where key = 'status' and value in ('"running"', '"lost"')
),

logged as (
    select
        run_id,
        position,
        -- text that is not JSON is taken for nothing
        unnest(map_entries(try_cast(try_cast(details as json) -> '$.last' as map(varchar, json)))) as pair
    from stg_manifests
    where op = 'metrics' and run_id in (select run_id from going_on)
),

live as (
    select
        run_id,
        pair.key as name,
        arg_max(json_extract(pair.value, '$[0]'), position) as value
    from logged
    group by run_id, pair.key
),

pivoted as (
    select
        run_id,
        max(value) filter (where key = 'type') as type,
        max(value) filter (where key = 'project') as project,
        max(value) filter (where key = 'model') as model,
        max(value) filter (where key = 'status') as status,
        max(value) filter (where key = 'started_at') as started_at,
        max(value) filter (where key = 'ended_at') as ended_at,
        max(value) filter (where key = 'author') as author,
        max(value) filter (where key = 'tags') as tags,
        max(value) filter (where key = 'name') as name,
        max(value) filter (where key = 'parent') as parent,
        max(value) filter (where key = 'description') as description,
        max(value) filter (where key = 'host') as host,
        max(value) filter (where key = 'git_commit') as git_commit,
        max(value) filter (where key = 'git_dirty') as git_dirty,
        max(value) filter (where key = 'error_type') as error_type,
        max(value) filter (where key = 'error') as error,
        max(value) filter (where key = 'organisation') as organisation,
        min(version) as version
    from facts
    group by run_id
),

valued as (
    select
        run_id,
        starts_with(key, 'params.') as is_param,
        substr(key, strpos(key, '.') + 1) as name,
        coalesce(
            -- a number is a number, whatever type it came in, or text if a double can not tell all its digits
            case
                when regexp_matches(value, '^\{"\$type":"decimal","value":"-?[0-9.]{1,16}"\}$')
                    then try_cast(regexp_extract(value, '"value":"([^"]*)"', 1) as json)
                when
                    starts_with(value, '{"$type":"decimal"')
                    or starts_with(value, '{"$type":"float"')
                    or regexp_matches(value, '^\{"\$type":"numpy".*"dtype":"[<>|=][biuf]')
                    then try_cast(value as json) -> '$.value'
            end,
            -- text that is not JSON is shown as it is
            try_cast(value as json),
            to_json(value)
        ) as value,
        0 as priority
    from facts
    where (starts_with(key, 'params.') or starts_with(key, 'metrics.')) and value is not null

    union all

    select run_id, false, name, value, 1 from live
),

last_values as (
    select run_id, is_param, name, arg_max(value, priority) as value
    from valued
    group by run_id, is_param, name
),

pairs as (
    select
        run_id,
        to_json(map_from_entries(list((name, value) order by name) filter (where is_param))) as params,
        to_json(map_from_entries(list((name, value) order by name) filter (where not is_param))) as metrics
    from last_values
    group by run_id
),

-- values are JSON texts, and what is not JSON is shown as it is rather than making every query fail
plain as (
    select
        run_id,
        coalesce(
            try_cast(columns(* exclude (run_id, version)) as json), to_json(columns(* exclude (run_id, version)))
        ) ->> '$',
        version
    from pivoted
)

select
    plain.run_id,
    plain.type,
    plain.project,
    plain.model,
    plain.status,
    try_cast(plain.started_at as timestamp with time zone) as started_at,
    try_cast(plain.ended_at as timestamp with time zone) as ended_at,
    date_diff(
        'millisecond',
        try_cast(plain.started_at as timestamp with time zone),
        try_cast(plain.ended_at as timestamp with time zone)
    ) / 1000.0 as duration_s,
    plain.author,
    coalesce(try_cast(plain.tags as varchar[]), cast([] as varchar[])) as tags,
    coalesce(inputs.input_count, 0) as input_count,
    coalesce(outputs.output_count, 0) as output_count,
    plain.version,
    plain.name,
    plain.parent,
    plain.description,
    plain.host,
    plain.git_commit,
    try_cast(plain.git_dirty as boolean) as git_dirty,
    plain.error_type,
    plain.error,
    coalesce(try_cast(plain.organisation as varchar[]), cast([] as varchar[])) as organisation,
    coalesce(pairs.params, cast('{}' as json)) as params,
    coalesce(pairs.metrics, cast('{}' as json)) as metrics
from plain
left join pairs on plain.run_id = pairs.run_id
left join inputs on plain.run_id = inputs.run_id
left join outputs on plain.run_id = outputs.run_id
;
create or replace view "runs_by_date" as
select coalesce(strftime(started_at at time zone 'UTC', '%Y/%m/%d'), '-') as path, runs.*
from runs
;
create or replace view "runs_by_model" as
select coalesce(model, '-') as path, runs.*
from runs
;
create or replace view "runs_by_project" as
select coalesce(project, '-') as path, runs.*
from runs
;
create or replace view "runs_by_type" as
select coalesce(type, '-') || '/' || coalesce(strftime(started_at at time zone 'UTC', '%Y-%m'), '-') as path, runs.*
from runs
;
create or replace view "runs_flat" as
select '' as path, runs.*
from runs
;
-- The read model "entries": the journal up to some version, sorted by name, so that one name is found at once.
create or replace view model_entries as
select * from delta_scan(getvariable('lake') || '/tables/entries');

-- What the journal said since.
create or replace view tail as
select * from manifests
where version > (select coalesce(greatest(max(version), max(superseded_at)), -1) from model_entries);

-- Every entry an item ever had, the oldest first; the one without superseded_version is live.
create or replace macro history_of(its_folio, its_item) as table
select * exclude (op, place) replace (coalesce(tags, []) as tags)
from (
    select *, lead(version) over (order by version, place) as superseded_version
    from (
        select folio, item, version, ordinal, committed_at, entry_id, kind, format, storage, digest, blob_digest, generation, size_bytes, uri, description, tags, details, inputs, facts, run_id, commit_id, ordinal + 0.0 as place, if(removed, 'delete', 'put') as op
        from model_entries where folio = its_folio and item = its_item
        union all
        -- a delete that a merge has left out is told by the row before it
        select folio, item, superseded_at, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, if(superseded_at = version, ordinal + 0.5, -1), 'delete'
        from model_entries where folio = its_folio and item = its_item and superseded_by = 'delete'
        union all
        select folio, item, version, ordinal, committed_at, entry_id, kind, format, storage, digest, blob_digest, generation, size_bytes, uri, description, tags, details, inputs, facts, run_id, commit_id, ordinal + 0.0, op
        from tail where folio = its_folio and item = its_item and op in ('put', 'delete')
    )
)
where op = 'put'
order by version, ordinal;
