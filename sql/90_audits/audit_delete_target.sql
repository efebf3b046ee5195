-- description: Deletions of items that did not exist at that moment.
-- grain: one row per problem (object, message); none on a healthy lake
-- source: stg_manifests
with changes as (
    select
        version,
        folio,
        item,
        op,
        lag(op) over (partition by folio, item order by position) as before
    from stg_manifests
    where op in ('put', 'delete')
)

select
    coalesce(folio, '') || ':' || coalesce(item, '') || '@' || version as object,
    'deleted though it did not exist' as message
from changes
where op = 'delete' and coalesce(before, 'delete') = 'delete'
