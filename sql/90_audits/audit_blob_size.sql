-- description: Stored objects and contents that are said to have different sizes.
-- grain: one row per problem (object, message); none on a healthy lake
-- source: stg_manifests
with objects as (
    select
        blob_digest || case when coalesce(generation, 0) > 0 then '.' || generation else '' end as object,
        stored_bytes
    from stg_manifests
    where op = 'put' and storage = 'blob'
)

select
    'blob ' || object as object,
    'has ' || count(distinct stored_bytes) || ' stored sizes, ' || min(stored_bytes) || ' to ' || max(stored_bytes)
    || ' bytes, expected one' as message
from objects
group by object
having count(distinct stored_bytes) > 1

union all

-- (a table's digest is that of its logical content, whose written size may differ)
select
    'content ' || digest as object,
    'has ' || count(distinct size_bytes) || ' sizes, ' || min(size_bytes) || ' to ' || max(size_bytes)
    || ' bytes, expected one' as message
from stg_manifests
where op = 'put' and storage in ('inline', 'blob') and kind <> 'table' and digest is not null
group by digest
having count(distinct size_bytes) > 1
