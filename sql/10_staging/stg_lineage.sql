-- description: The lineage rows that count: those whose transaction the journal holds, with its version and time.
-- grain: one row per edge
-- source: lineage, manifests
with txns as (
    select
        txn_id,
        cast(min(version) as bigint) as version,
        cast(min(committed_at) as timestamp with time zone) as committed_at
    from manifests
    group by txn_id
)

select
    txns.version as version,
    txns.committed_at as committed_at,
    cast(lineage.txn_id as varchar) as txn_id,
    cast(lineage.ordinal as integer) as ordinal,
    cast(lineage.output_kind as varchar) as output_kind,
    cast(lineage.output_id as varchar) as output_id,
    cast(lineage.output_folio as varchar) as output_folio,
    cast(lineage.output_item as varchar) as output_item,
    cast(lineage.input_kind as varchar) as input_kind,
    cast(lineage.input_id as varchar) as input_id,
    cast(lineage.input_folio as varchar) as input_folio,
    cast(lineage.input_item as varchar) as input_item,
    cast(lineage.input_uri as varchar) as input_uri,
    cast(lineage.input_digest as varchar) as input_digest,
    cast(lineage.run_id as varchar) as run_id,
    cast(lineage.role as varchar) as role,
    cast(lineage.details as varchar) as details
from lineage
inner join txns on lineage.txn_id = txns.txn_id
