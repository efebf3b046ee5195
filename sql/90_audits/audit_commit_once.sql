-- description: Commits whose rows lie in more than one version: written twice, or torn.
-- grain: one row per problem (object, message); none on a healthy lake
-- source: stg_manifests
select
    'commit ' || commit_id as object,
    'lies in ' || count(distinct version) || ' versions, ' || min(version) || ' to ' || max(version)
    || ', expected one' as message
from stg_manifests
group by commit_id
having count(distinct version) > 1
