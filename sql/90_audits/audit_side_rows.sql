-- description: Rows of lineage and metadata that were written twice.
-- grain: one row per problem (object, message); none on a healthy lake
-- source: stg_lineage, stg_metadata
select
    'lineage of ' || output_kind || ' ' || output_id as object,
    'edge ' || ordinal || ' of version ' || min(version) || ' lies there ' || count(*) || ' times' as message
from stg_lineage
group by txn_id, ordinal, output_kind, output_id, input_id, input_uri
having count(*) > 1

union all

select
    'metadata of ' || subject_kind || ' ' || subject_id as object,
    'value ' || ordinal || ' of version ' || min(version) || ' lies there ' || count(*) || ' times' as message
from stg_metadata
group by txn_id, ordinal, subject_kind, subject_id, key
having count(*) > 1
