-- What the pipeline CopySubmissionChanges needs in Azure SQL: a table of changes, its place in the feed, the rows as they stand.
-- Every name is the feed's. The pipeline's managed identity needs INSERT, UPDATE and SELECT on the table, EXECUTE on both procedures.

CREATE TABLE dbo.SubmissionChanges (
    PartitionKey char(8) NOT NULL,
    RowKey char(50) NOT NULL,
    SchemaVersion int NULL,
    Event nvarchar(1000) NULL,
    PreviousState nvarchar(1000) NULL,
    OutcomePartition nvarchar(1000) NULL,
    SubmissionId nvarchar(1000) NULL,
    State nvarchar(1000) NULL,
    Source nvarchar(1000) NULL,
    ReceivedAt datetime2(7) NULL,
    CollectedAt datetime2(7) NULL,
    StateReason nvarchar(1000) NULL,
    StateDetail nvarchar(1000) NULL,
    Kind nvarchar(1000) NULL,
    Category nvarchar(1000) NULL,
    Direction nvarchar(1000) NULL,
    Priority nvarchar(1000) NULL,
    Reporter nvarchar(1000) NULL,
    RequestedBy nvarchar(1000) NULL,
    Recipient nvarchar(1000) NULL,
    Sender nvarchar(1000) NULL,
    SenderIp nvarchar(1000) NULL,
    Subject nvarchar(1000) NULL,
    InternetMessageId nvarchar(1000) NULL,
    NetworkMessageId nvarchar(1000) NULL,
    Url nvarchar(1000) NULL,
    FileName nvarchar(1000) NULL,
    FileSha256 nvarchar(1000) NULL,
    SizeBytes int NULL,
    Mailbox nvarchar(1000) NULL,
    ReportMessageId nvarchar(1000) NULL,
    RequestId nvarchar(1000) NULL,
    ItemKey nvarchar(1000) NULL,
    CampaignId nvarchar(1000) NULL,
    CoveredBy nvarchar(1000) NULL,
    DispatchedAt datetime2(7) NULL,
    SubmittedAt datetime2(7) NULL,
    SettledAt datetime2(7) NULL,
    Attempts int NULL,
    GraphSubmissionId nvarchar(1000) NULL,
    GraphStatus nvarchar(1000) NULL,
    ResultCategory nvarchar(1000) NULL,
    ResultDetail nvarchar(1000) NULL,
    Verdict nvarchar(1000) NULL,
    Agreement nvarchar(1000) NULL,
    AllowOrBlock nvarchar(1000) NULL,
    AllowOrBlockExpiresAt datetime2(7) NULL,
    AllowOrBlockStatus nvarchar(1000) NULL,
    ErrorCode nvarchar(1000) NULL,
    ErrorMessage nvarchar(1000) NULL,
    ErrorRequestId nvarchar(1000) NULL,
    SecondsToSubmit int NULL,
    SecondsToVerdict int NULL,
    Revision int NULL,
    ChangedAt datetime2(7) NULL,
    Disputes nvarchar(1000) NULL,
    ReporterTold nvarchar(1000) NULL,
    ReporterToldAt datetime2(7) NULL,
    AppendedAt datetime2(7) NOT NULL,
    CONSTRAINT PK_SubmissionChanges PRIMARY KEY (PartitionKey, RowKey),
    INDEX IX_SubmissionChanges_SubmissionId (SubmissionId, AppendedAt)
);
GO

CREATE TABLE dbo.SubmissionFeedPlace (
    One bit NOT NULL PRIMARY KEY DEFAULT 1 CHECK (One = 1),
    SinceAt datetime2(3) NOT NULL
);
INSERT dbo.SubmissionFeedPlace (SinceAt) VALUES ('2026-01-01'); -- begin with the changes since then
GO

-- The days to read and where in each to begin: half an hour before the last good read began, whole days after that.
CREATE PROCEDURE dbo.BeginFeedRead AS
BEGIN
    SET NOCOUNT ON;
    DECLARE @BeganAt datetime2(3) = SYSUTCDATETIME();
    DECLARE @FromAt datetime2(3) = (SELECT DATEADD(minute, -30, SinceAt) FROM dbo.SubmissionFeedPlace);
    WITH Days AS (
        SELECT CAST(@FromAt AS date) AS OnDay
        UNION ALL
        SELECT DATEADD(day, 1, OnDay) FROM Days WHERE OnDay < CAST(DATEADD(minute, 5, @BeganAt) AS date)
    )
    SELECT CONVERT(char(8), OnDay, 112) AS Day,
           RIGHT('0000000000000' + CAST(DATEDIFF_BIG(millisecond, '1970-01-01', @FromAt) AS varchar(13)), 13) AS FromKey,
           CONVERT(char(23), @BeganAt, 126) AS BeganAt
    FROM Days ORDER BY OnDay
    OPTION (MAXRECURSION 0);
END;
GO

CREATE PROCEDURE dbo.EndFeedRead @BeganAt datetime2(3) AS
    UPDATE dbo.SubmissionFeedPlace SET SinceAt = @BeganAt WHERE SinceAt < @BeganAt;
GO

-- How each report and request stands: by its last change in the order of the appends.
CREATE VIEW dbo.SubmissionsNow AS
SELECT * FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY SubmissionId ORDER BY AppendedAt DESC, RowKey DESC) AS Place
    FROM dbo.SubmissionChanges
) AS Ordered WHERE Place = 1;
GO
