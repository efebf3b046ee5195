-- description: The facts of the journal's rows: what is noted of the lake, folios, entries and runs, with version and time.
--   An entry that is put again says the same again, so that only its first row counts.
-- grain: one row per value set (a null value removes the key)
-- source: stg_manifests
with telling as (
    select
        version,
        position,
        committed_at,
        commit_id,
        op,
        folio,
        item,
        entry_id,
        run_id,
        facts
    from stg_manifests
    where op in ('put', 'run', 'annotate') and len(facts) > 0
    qualify op <> 'put' or row_number() over (partition by op, entry_id order by position) = 1
),

noted as (
    select
        * exclude (facts),
        unnest(facts) as fact,
        generate_subscripts(facts, 1) - 1 as ordinal
    from telling
)

select
    version,
    position,
    committed_at,
    commit_id,
    cast(ordinal as integer) as ordinal,
    case
        when op = 'put' then 'entry'
        when op = 'run' then 'run'
        when folio is null then 'lake'
        else 'folio'
    end as subject_kind,
    case op when 'put' then entry_id when 'run' then run_id else coalesce(folio, '') end as subject_id,
    folio,
    item,
    fact.key as key,
    fact.value as value,
    fact.value_number as value_number
from noted
