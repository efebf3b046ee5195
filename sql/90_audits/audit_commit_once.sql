-- description: Commits or transactions whose rows lie in more than one version: written twice, or torn.
-- grain: one row per problem (object, message); none on a healthy lake
-- source: stg_manifests
with ids as (
    select 'commit ' || commit_id as object, version from stg_manifests
    union all
    select 'transaction ' || txn_id as object, version from stg_manifests
)

select
    object,
    'lies in ' || count(distinct version) || ' versions, ' || min(version) || ' to ' || max(version)
    || ', expected one' as message
from ids
group by object
having count(distinct version) > 1
