-- description: Snapshots taken under a name that was taken, and drops of names that did not exist.
-- grain: one row per problem (object, message); none on a healthy lake
-- source: stg_manifests
with changes as (
    select
        version,
        folio,
        snapshot,
        op,
        lag(op) over (partition by folio, snapshot order by position) as before
    from stg_manifests
    where op in ('snapshot', 'drop_snapshot')
)

select
    'snapshot ' || coalesce(folio || ':', '') || snapshot as object,
    case op
        when 'snapshot' then 'taken at version ' || version || ' though the name was taken'
        else 'dropped at version ' || version || ' though it did not exist'
    end as message
from changes
where op = coalesce(before, 'drop_snapshot')
