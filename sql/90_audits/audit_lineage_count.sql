-- description: Entries that should have more or fewer lineage edges than there are, and the same for the inputs of runs in
--   one transaction: a side row was lost.
-- grain: one row per problem (object, message); none on a healthy lake
-- source: stg_manifests, stg_lineage
with edges as (
    select output_id, count(*) as found
    from stg_lineage
    where output_kind = 'entry'
    group by output_id
),

run_edges as (
    select txn_id, count(*) as found
    from stg_lineage
    where output_kind = 'run'
    group by txn_id
),

annotations as (
    select txn_id, min(version) as version, sum(lineage_count) as expected
    from stg_manifests
    where op = 'annotate'
    group by txn_id
)

select
    puts.folio || ':' || puts.item || '@' || puts.version as object,
    'should have ' || puts.lineage_count || ' lineage edges, has ' || coalesce(edges.found, 0) as message
from stg_manifests as puts
left join edges on puts.entry_id = edges.output_id
where puts.op = 'put' and puts.lineage_count <> coalesce(edges.found, 0)

union all

select
    'inputs of runs at version ' || annotations.version as object,
    'should have ' || annotations.expected || ' lineage edges, has ' || coalesce(run_edges.found, 0) as message
from annotations
left join run_edges on annotations.txn_id = run_edges.txn_id
where annotations.expected <> coalesce(run_edges.found, 0)
