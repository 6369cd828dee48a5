// One log alert per row of `rules`, and of `feedbackRules`: whoever wants to know what is watched reads these arrays.
//
// The queries stand in ../queries and hold no limit: each tells a number, and the row says above which number it is an
// alert. Severity: 0 it stands still, 1 somebody must act today, 2 somebody must act soon, 3 worth a look.
// An alert with `resolves` describes a condition: it fires once and resolves when the condition ends. One without
// describes what happened to single rows, which is not undone by waiting: it fires again at most once in `quiet`, and
// its `window` reaches back over `quiet` and one look more, so that what happened meanwhile is told then.
// `window` is longer than `every` where single lines count, as a line may arrive some minutes late.

@description('Azure region of the rules: that of the workspace.')
param location string

@description('Beginning of every name.')
param namePrefix string

@description('Tags of everything.')
param tags { *: string }

@description('Resource id of the Log Analytics workspace that holds the app\'s traces.')
param workspaceId string

@description('Resource ids of the action groups that are told. With none, alerts show in the portal only.')
param actionGroupIds string[]

@description('Submissions in 15 minutes that the app is given.')
param quotaPer15Min int

@description('Submissions in a day that the app is given.')
param quotaPerDay int

@description('Hours after which a row without a verdict expires.')
param verdictDeadlineHours int

@description('Whether reporters are answered.')
param answersReporters bool

@description('Minutes without a finished run after which a timer counts as silent: several times the slowest schedule.')
@minValue(10)
@maxValue(55)
param silentMinutes int = 30

@description('What a rule says of itself; the rest is the same for all.')
type rule = {
  @description('Its name after the prefix, and its row in docs/monitoring.md.')
  name: string

  @description('What its alerts are called.')
  title: string

  @description('How bad it is; the scale stands above.')
  severity: 0 | 1 | 2 | 3

  @description('The question, without the query that reads the events.')
  query: string

  @description('Column of the query that is compared.')
  measure: string

  @description('The number above which it is an alert.')
  above: int

  @description('Column that tells one alert from another; none for a query of one row.')
  per: string?

  @description('Only these values of that column; all where none is named.')
  only: string[]?

  @description('How often the question is asked.')
  every: 'PT5M' | 'PT15M' | 'PT1H'

  @description('How far back the question looks.')
  window: 'PT30M' | 'PT1H' | 'PT2H' | 'PT6H' | 'P2D'

  @description('Whether the alert ends by itself when its condition does.')
  resolves: bool

  @description('For an alert that does not resolve: how long it says nothing after it fired.')
  quiet: ('PT1H' | 'PT5H' | 'P1D')?

  @description('What happened, and what is at stake.')
  says: string

  @description('What to do first.')
  first: string
}

@description('The query that every other begins with.')
var events = loadTextContent('../queries/_events.kql')

@description('What is watched everywhere.')
var rules rule[] = [
  {
    name: 'silent'
    title: 'A timer is silent'
    severity: 0
    query: loadTextContent('../queries/heartbeat.kql')
    measure: 'silent_minutes'
    above: silentMinutes
    per: 'function'
    every: 'PT5M'
    window: 'PT1H'
    resolves: true
    says: 'A timer function has not ended a run well for ${silentMinutes} minutes. No report is collected, no row gets a slot or no verdict is fetched until it runs again; nothing is lost, everything waits.'
    first: 'See whether `dead-start` fires too: it names the setting that is wrong. If it does not, see `failures`; then restart the app. Until the code is deployed this alert is as it should be; it fires also when the workspace has reached its daily cap.'
  }
  {
    name: 'dead-start'
    title: 'The app does not start'
    severity: 0
    query: loadTextContent('../queries/dead_start.kql')
    measure: 'starts'
    above: 0
    per: 'wrong'
    every: 'PT5M'
    window: 'P2D'
    resolves: true
    says: 'The app started and has no function: `wrong` names the app settings that are missing or wrong, or the error that stopped it. The portal says Running all the same. Nothing runs until it is repaired; nothing is lost, everything waits.'
    first: 'Read `reason` in the query\'s result: it says what each setting must be. Correct them, which restarts the app. An error that is no SettingsError comes from the package: publish the one before it again. Until the code is deployed the host finds no function, which is as it should be.'
  }
  {
    name: 'not-allowed'
    title: 'Microsoft refuses the app'
    severity: 1
    query: loadTextContent('../queries/not_allowed.kql')
    measure: 'refusals'
    above: 0
    per: 'status'
    every: 'PT5M'
    window: 'PT1H'
    resolves: true
    says: 'Microsoft answered a submission with 401, 402 or 403, or the identity got no token. All submissions pause for up to 30 minutes at a time; the rows wait, also the urgent ones.'
    first: 'Run the doctor: it tells which permission the token lacks. Then look at the tenant\'s licence for Defender for Office 365.'
  }
  {
    name: 'late-urgent'
    title: 'Urgent rows wait too long'
    severity: 1
    query: loadTextContent('../queries/backlog.kql')
    measure: 'oldest_minutes'
    above: 30
    per: 'lane'
    only: ['urgent']
    every: 'PT5M'
    window: 'PT30M'
    resolves: true
    says: 'An urgent row has waited for 30 minutes. Slots are kept free for such rows in each 15 minutes, so two windows passed without one of the ${quotaPer15Min} submissions for it: a pause, a full quota, or a flood of urgent rows.'
    first: 'See whether `not-allowed`, `throttled`, `quota` or `slots-missed` fires too: each explains it. If none does, search the row\'s events: `metadata_not_ready` means that Microsoft does not know the mail yet, and the row is tried again by itself.'
  }
  {
    name: 'late-others'
    title: 'Rows wait longer than a day'
    severity: 2
    query: loadTextContent('../queries/backlog.kql')
    measure: 'oldest_minutes'
    above: 24 * 60
    per: 'lane'
    only: ['normal', 'low']
    every: 'PT1H'
    window: 'PT2H'
    resolves: true
    says: 'A row has waited for a day. A day takes ${quotaPerDay} submissions and ${quotaPer15Min} fit into 15 minutes, so more comes in than the quota lets out, or nothing leaves.'
    first: 'See in the workbook whether the backlog grows. One large bulk request in the lane `low` goes by itself; a lane `normal` that grows needs more quota or fewer reports.'
  }
  {
    name: 'irregular'
    title: 'We do not submit regularly'
    severity: 2
    query: loadTextContent('../queries/irregular.kql')
    measure: 'irregular'
    above: 0
    every: 'PT1H'
    window: 'P2D'
    resolves: true
    says: 'The last 30 days fail the rule of regular submission: a day had reports that were due and none was submitted, over 1 percent of the reports were given up, or nothing was submitted at all. The app tells so once a day.'
    first: 'Run `submissions report --since 30d`: it says why in one sentence, and which days. Shadow mode (SUBMISSION_MODE) submits nothing, by design.'
  }
  {
    name: 'slots-missed'
    title: 'Rows miss their slots'
    severity: 2
    query: loadTextContent('../queries/slots_missed.kql')
    measure: 'missed'
    above: 10
    every: 'PT15M'
    window: 'PT1H'
    resolves: true
    says: 'More than ten times in an hour a row was given a slot and nothing was sent in its five minutes. The rows wait for another slot, and those behind them wait longer.'
    first: 'See whether the function `submit` runs and fails (`failures`). If it does not run, the app does not read the queue `submissions`: run the doctor, which reads and releases a message there.'
  }
  {
    name: 'stuck-uncertain'
    title: 'Rows stay uncertain'
    severity: 2
    query: loadTextContent('../queries/backlog.kql')
    measure: 'oldest_minutes'
    above: 60
    per: 'lane'
    only: ['uncertain']
    every: 'PT15M'
    window: 'PT30M'
    resolves: true
    says: 'For an hour it has been unknown whether Microsoft has a submission. Its own list should have told after 15 minutes. The row is neither sent again nor given up until the list can be read.'
    first: 'See whether `unreadable` fires for `listing_failed`. If the list can be read, look for the row in the table `outcomes`.'
  }
  {
    name: 'past-deadline'
    title: 'Rows outlive the deadline for verdicts'
    severity: 2
    query: loadTextContent('../queries/backlog.kql')
    measure: 'oldest_minutes'
    above: (verdictDeadlineHours + 48) * 60
    per: 'lane'
    only: ['at_microsoft', 'covered']
    every: 'PT1H'
    window: 'PT2H'
    resolves: true
    says: 'A report was received ${verdictDeadlineHours + 48} hours ago and its row still waits for a verdict. It should have expired ${verdictDeadlineHours} hours after its submission, or a day later while Microsoft\'s list could not be read: settle_outcomes does not get to it.'
    first: 'See whether `unreadable` fires for `listing_failed`, then whether settle_outcomes is stopped by its time limit (`failures`).'
  }
  {
    name: 'quota'
    title: 'The day\'s quota is nearly used'
    severity: 2
    query: loadTextContent('../queries/quota.kql')
    measure: 'day_percent'
    above: 75
    every: 'PT15M'
    window: 'PT30M'
    resolves: true
    says: 'More than three quarters of the ${quotaPerDay} submissions of 24 hours are used. A share is kept for urgent rows and one for people in the portal, as in each 15 minutes: when the rest is used, every other row waits until the oldest submission is a day old.'
    first: 'Stop bulk requests to the queue `manual-submissions` for today. See in the workbook where the rows come from.'
  }
  {
    name: 'throttled'
    title: 'Microsoft throttles submissions'
    severity: 2
    query: loadTextContent('../queries/throttled.kql')
    measure: 'answers'
    above: 10
    every: 'PT15M'
    window: 'PT1H'
    resolves: true
    says: 'More than ten submissions in an hour were answered with 429, although the app stays below ${quotaPer15Min} in 15 minutes. Rows wait longer; none is lost.'
    first: 'Find out who else submits in this tenant: the quota is the tenant\'s. Lower QUOTA_PER_15_MIN to what is left for this app.'
  }
  {
    name: 'unreadable'
    title: 'Something cannot be read for an hour'
    severity: 1
    query: loadTextContent('../queries/unreadable.kql')
    measure: 'failing_quarters'
    above: 3
    per: 'what'
    every: 'PT15M'
    window: 'PT1H'
    resolves: true
    says: 'A reading of a mailbox, of a source, of Microsoft\'s list of submissions, of the report policy or of the app\'s own backlog failed in every quarter of the last hour. What it holds waits there; reports in a mailbox are read when it answers again.'
    first: 'Read `answers` in the query\'s result: 403 or 404 is a missing grant or mailbox, so run the doctor. 5xx is an outage: see Microsoft\'s service health.'
  }
  {
    name: 'deferred'
    title: 'Reports cannot be read'
    severity: 2
    query: loadTextContent('../queries/deferred.kql')
    measure: 'reports'
    above: 0
    every: 'PT1H'
    window: 'PT2H'
    resolves: true
    says: 'The content of a report could not be fetched for three quarters of an hour, while its mailbox can be read. If that goes on, its row ends as failed and nothing is submitted.'
    first: 'Read status and code of the event `report_deferred`. See whether the report still lies in the mailbox: a rule or a person may have moved it.'
  }
  {
    name: 'poison'
    title: 'A message failed every attempt'
    severity: 2
    query: loadTextContent('../queries/poison.kql')
    measure: 'messages'
    above: 0
    per: 'event'
    only: ['poison_recorded']
    every: 'PT15M'
    window: 'PT2H'
    resolves: false
    quiet: 'PT1H'
    says: 'A queue message failed five times. Its row has ended as failed, so nothing is submitted for it unless somebody has it replayed. An answer to a reporter, whose `queue` is notifications-poison, is tried again by itself.'
    first: 'Find the exception of that time (`failures`), repair its cause, then replay its row: `submissions replay`.'
  }
  {
    name: 'poison-unrecorded'
    title: 'A poison message could not be recorded'
    severity: 1
    query: loadTextContent('../queries/poison.kql')
    measure: 'messages'
    above: 0
    per: 'event'
    only: ['poison_unrecorded']
    every: 'PT5M'
    window: 'PT2H'
    resolves: false
    quiet: 'PT1H'
    says: 'A message that failed every attempt could not get its final row, as storage refused. It went back to its poison queue; where `lost` is above 0 not even that succeeded, and the message exists no more.'
    first: 'Run the doctor for the access to tables and queues. Where `lost` is above 0, compare the table `outcomes` with the reporting mailbox of that time.'
  }
  {
    name: 'expired'
    title: 'Rows expired without a verdict'
    severity: 2
    query: loadTextContent('../queries/ended.kql')
    measure: 'rows'
    above: 0
    per: 'event'
    only: ['expired']
    every: 'PT1H'
    window: 'P2D'
    resolves: false
    quiet: 'P1D'
    says: 'Microsoft gave no verdict within ${verdictDeadlineHours} hours. The row has ended; a pipeline that waits for a verdict gets none.'
    first: 'Look the submission up in the Defender portal by its id. If Microsoft is only late, raise VERDICT_DEADLINE_HOURS.'
  }
  {
    name: 'gave-up'
    title: 'Rows were given up'
    severity: 2
    query: loadTextContent('../queries/ended.kql')
    measure: 'rows'
    above: 0
    per: 'event'
    only: ['gave_up']
    every: 'PT1H'
    window: 'PT6H'
    resolves: false
    quiet: 'PT5H'
    says: 'A row failed after all its retries. Microsoft never judges that item unless somebody has it replayed.'
    first: 'Read `reasons` in the query\'s result, repair the cause, then replay the rows of `ids`: `submissions replay`.'
  }
  {
    name: 'refused'
    title: 'Microsoft refuses many submissions'
    severity: 2
    query: loadTextContent('../queries/ended.kql')
    measure: 'rows'
    above: 10
    per: 'event'
    only: ['submission_refused']
    every: 'PT1H'
    window: 'PT6H'
    resolves: false
    quiet: 'PT5H'
    says: 'More than ten submissions in six hours were refused for good. A single one is a matter of its mail; many have a common cause, such as a change of Microsoft\'s interface, which is beta.'
    first: 'Read `reasons` in the query\'s result and compare the rows\' ErrorMessage in the table `outcomes`. Shadow mode (SUBMISSION_MODE) keeps further rows from being refused.'
  }
  {
    name: 'unknown-result'
    title: 'Microsoft used an unknown word'
    severity: 3
    query: loadTextContent('../queries/ended.kql')
    measure: 'rows'
    above: 0
    per: 'event'
    only: ['unknown_result']
    every: 'PT1H'
    window: 'P2D'
    resolves: false
    quiet: 'P1D'
    says: 'A verdict held a word that the app does not know. The row is settled with the verdict `undetermined` and keeps Microsoft\'s words.'
    first: 'Read ResultCategory and ResultDetail of the rows in `ids`, and ask for an app version that knows them.'
  }
  {
    name: 'failures'
    title: 'A function fails again and again'
    severity: 2
    query: loadTextContent('../queries/failures.kql')
    measure: 'failures'
    above: 5
    per: 'function'
    every: 'PT15M'
    window: 'PT1H'
    resolves: true
    says: 'More than five invocations of a function failed within an hour, or, for `host`, a worker process ended by itself as often. What an instance cuts off when the platform drains it does not count, unless no invocation ended well. Messages are tried five times and then become poison; timers try again at their next time.'
    first: 'Read `errors` in the query\'s result: type and place, and the answer where there was one. Storage refusing access is the most usual: run the doctor.'
  }
]

@description('What is watched only where reporters are answered.')
var feedbackRules rule[] = [
  {
    name: 'untold'
    title: 'Reporters could not be told'
    severity: 2
    query: loadTextContent('../queries/answers.kql')
    measure: 'answers'
    above: 5
    per: 'event'
    only: ['notification_undeliverable']
    every: 'PT1H'
    window: 'PT6H'
    resolves: false
    quiet: 'PT5H'
    says: 'More than five answers in six hours were refused for good, or came to nothing in a week. Their rows say `undeliverable` in ReporterTold; what was submitted is not touched.'
    first: 'Read `said` in the query\'s result. One address that is gone is a matter of its owner; many have a common cause, such as a rule of yours that blocks the mailbox.'
  }
  {
    name: 'answers-rest'
    title: 'Answers to reporters rest'
    severity: 2
    query: loadTextContent('../queries/answers.kql')
    measure: 'failing_quarters'
    above: 2
    per: 'event'
    only: ['notifications_paused', 'notifications_unread', 'notifications_failed']
    every: 'PT15M'
    window: 'PT1H'
    resolves: true
    says: 'In most of the last hour no answer left, as FEEDBACK_MAILBOX may not send or is throttled, or what it sent could not be read. The answers wait for up to a week; submissions go on.'
    first: 'Run the doctor: it tells whether the mailbox is there and may send. 429 passes by itself, unless somebody else sends from it.'
  }
]

resource alerts 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for rule in concat(rules, answersReporters ? feedbackRules : []): {
    name: '${namePrefix}-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: 'Defender Submissions: ${rule.title}'
      description: '${rule.says} First: ${rule.first} More: docs/monitoring.md, ${rule.name}.'
      severity: rule.severity
      enabled: true
      scopes: [workspaceId]
      evaluationFrequency: rule.every
      windowSize: rule.window
      criteria: {
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            query: '${events}${rule.query}'
            timeAggregation: 'Maximum'
            metricMeasureColumn: rule.measure
            operator: 'GreaterThan'
            threshold: rule.above
            dimensions: rule.?per == null ? [] : [{ name: rule.per!, operator: 'Include', values: rule.?only ?? ['*'] }]
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      autoMitigate: rule.resolves
      muteActionsDuration: rule.?quiet
      // The workspace is made by the same deployment: its tables come with the first line that the app writes.
      skipQueryValidation: true
      actions: { actionGroups: actionGroupIds }
    }
  }
]
