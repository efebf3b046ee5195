-- description: Snapshots of versions that were still to come, or below zero, when they were taken.
-- grain: one row per problem (object, message); none on a healthy lake
-- source: stg_manifests
select
    'snapshot ' || coalesce(folio || ':', '') || snapshot as object,
    'taken at version ' || version || ' of version ' || target_version as message
from stg_manifests
where op = 'snapshot' and (target_version > version or target_version < 0)
