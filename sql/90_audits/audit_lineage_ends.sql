-- description: Inputs that are entries which no row of the journal puts, or only a later one.
-- grain: one row per problem (object, message); none on a healthy lake
-- source: stg_lineage, stg_manifests
with puts as (
    select entry_id, min(version) as version
    from stg_manifests
    where op = 'put'
    group by entry_id
)

select
    coalesce(edges.output_folio || ':' || edges.output_item, edges.output_id) || '@' || edges.version as object,
    'has the input ' || coalesce(edges.input_folio || ':' || edges.input_item || ', ', '') || 'entry '
    || coalesce(edges.input_id, 'null') || ', which '
    || case when puts.entry_id is null then 'was never put' else 'was put later, at version ' || puts.version end
    as message
from stg_lineage as edges
left join puts on edges.input_id = puts.entry_id
where edges.input_kind = 'entry' and (puts.entry_id is null or puts.version > edges.version)
