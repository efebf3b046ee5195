-- description: Two rows of the journal at one place, so that their order is undefined.
-- grain: one row per problem (object, message); none on a healthy lake
-- source: stg_manifests
select
    'version ' || version || ', ordinal ' || ordinal as object,
    count(*) || ' rows have this place, expected one' as message
from stg_manifests
group by version, ordinal
having count(*) > 1
