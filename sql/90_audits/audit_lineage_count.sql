-- description: Entries that should have more or fewer lineage edges than there are: a side row was lost.
-- grain: one row per problem (object, message); none on a healthy lake
-- source: stg_manifests, stg_lineage
with edges as (
    select output_id, count(*) as found
    from stg_lineage
    where output_kind = 'entry'
    group by output_id
)

select
    puts.folio || ':' || puts.item || '@' || puts.version as object,
    'should have ' || puts.lineage_count || ' lineage edges, has ' || coalesce(edges.found, 0) as message
from stg_manifests as puts
left join edges on puts.entry_id = edges.output_id
where puts.op = 'put' and puts.lineage_count <> coalesce(edges.found, 0)
