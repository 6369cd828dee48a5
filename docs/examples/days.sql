-- What each day's reports came to: the columns of the table `statistics`, counted from an export of `outcomes`.
-- For DuckDB: submissions export --since 90d --to outcomes.parquet
SELECT
    strptime(PartitionKey, '%Y%m%d')::DATE AS Day,
    count(*) AS Received,
    count(SubmittedAt) AS Submitted,
    count(*) FILTER (SubmittedAt IS NULL AND CoveredBy IS NOT NULL AND State IN ('covered', 'settled', 'expired'))
        AS Covered,
    count(*) FILTER (State = 'skipped') AS Skipped,
    count(*) FILTER (State = 'rejected') AS Rejected,
    count(*) FILTER (State = 'failed') AS Failed,
    count(*) FILTER (State = 'expired') AS Expired,
    count(*) FILTER (State = 'settled') AS Settled,
    count(*) FILTER (Agreement = 'confirmed') AS Confirmed,
    count(*) FILTER (Agreement = 'refuted') AS Refuted,
    count(*) FILTER (Agreement = 'undecided') AS Undecided,
    count(*) FILTER (Direction = 'falseNegative') AS FalseNegatives,
    count(*) FILTER (Direction = 'falsePositive') AS FalsePositives,
    count(DISTINCT lower(Reporter)) AS Reporters,
    count(DISTINCT CampaignId) AS Campaigns,
    count(Disputes) AS Disputed,
    count(Disputes) FILTER (Agreement = 'confirmed') AS DisputesWon,
    quantile_disc(SecondsToSubmit, 0.5) AS SecondsToSubmitMedian,
    quantile_disc(SecondsToSubmit, 0.95) AS SecondsToSubmitP95,
    quantile_disc(SecondsToVerdict, 0.5) AS SecondsToVerdictMedian,
    quantile_disc(SecondsToVerdict, 0.95) AS SecondsToVerdictP95
FROM 'outcomes.parquet'
GROUP BY Day
ORDER BY Day;
