// The Azure Workbook for security operations: is it alive, does it keep up, what does Microsoft say, what went wrong; and
// below, for whoever answers for it: do we submit regularly, and what comes of it, by weeks and months.
//
// A row of `charts` is one question: its query stands in ../queries, in front of it the one that reads the events. The
// workbook is the same resource at every deployment, so what is changed in the portal is overwritten: save a copy there.

@description('Azure region of the workbook.')
param location string

@description('Beginning of the title.')
param namePrefix string

@description('Tags of the workbook.')
param tags { *: string }

@description('Resource id of the Log Analytics workspace that holds the app\'s traces.')
param workspaceId string

@description('What one part of the workbook asks, and how it shows the answer.')
type chart = {
  @description('The question, in words.')
  title: string

  @description('The question, without the query that reads the events.')
  query: string

  @description('How the answer is shown.')
  shown: 'table' | 'timechart' | 'barchart'

  @description('What stands there when the query finds nothing.')
  empty: string

  @description('Which of the two time ranges it is asked for; `range` where none is named.')
  over: 'range' | 'past'?
}

@description('The query that every other begins with.')
var events = loadTextContent('../queries/_events.kql')

@description('The questions, in the order in which they stand on the page.')
var charts chart[] = [
  {
    title: 'Is it alive? Each timer\'s last run'
    query: loadTextContent('../queries/heartbeat.kql')
    shown: 'table'
    empty: 'No timer is known.'
  }
  {
    title: 'What waits now, by lane'
    query: loadTextContent('../queries/backlog.kql')
    shown: 'table'
    empty: 'settle_outcomes has told no backlog in this time.'
  }
  {
    title: 'Starts that failed, and what is wrong'
    query: loadTextContent('../queries/dead_start.kql')
    shown: 'table'
    empty: 'The app has started, or was not started in this time.'
  }
  {
    title: 'What waits, over time'
    query: loadTextContent('../queries/backlog_over_time.kql')
    shown: 'timechart'
    empty: 'settle_outcomes has told no backlog in this time.'
  }
  {
    title: 'How much comes in and goes out, each hour'
    query: loadTextContent('../queries/flow.kql')
    shown: 'timechart'
    empty: 'Nothing came in and nothing went out in this time.'
  }
  {
    title: 'How much of the quota is used'
    query: loadTextContent('../queries/quota.kql')
    shown: 'table'
    empty: 'settle_outcomes has told no use of the quota in this time.'
  }
  {
    title: 'How much of the quota is used, over time, in percent'
    query: loadTextContent('../queries/quota_over_time.kql')
    shown: 'timechart'
    empty: 'settle_outcomes has told no use of the quota in this time.'
  }
  {
    title: 'Minutes from the report to its submission and to its verdict'
    query: loadTextContent('../queries/speed.kql')
    shown: 'table'
    empty: 'Nothing was submitted in this time.'
  }
  {
    title: 'What Microsoft says, and whether it agrees with who reported'
    query: loadTextContent('../queries/verdicts.kql')
    shown: 'table'
    empty: 'No verdict came in this time.'
  }
  {
    title: 'What went wrong, by kind'
    query: loadTextContent('../queries/problems.kql')
    shown: 'table'
    empty: 'Nothing went wrong in this time.'
  }
  {
    title: 'Rows that ended otherwise than they should'
    query: loadTextContent('../queries/ended.kql')
    shown: 'table'
    empty: 'No row ended otherwise than it should.'
  }
  {
    title: 'Messages that failed every attempt'
    query: loadTextContent('../queries/poison.kql')
    shown: 'table'
    empty: 'No message failed every attempt.'
  }
  {
    title: 'What kept answers from reporters'
    query: loadTextContent('../queries/answers.kql')
    shown: 'table'
    empty: 'Nothing kept an answer from a reporter.'
  }
  {
    title: 'Functions that fail'
    query: loadTextContent('../queries/failures.kql')
    shown: 'table'
    empty: 'No function failed.'
  }
  {
    title: 'Mailboxes, sources and lists that could not be read'
    query: loadTextContent('../queries/unreadable.kql')
    shown: 'table'
    empty: 'Everything could be read.'
  }
  {
    title: 'When Microsoft refused the app'
    query: loadTextContent('../queries/not_allowed.kql')
    shown: 'table'
    empty: 'Microsoft refused nothing.'
  }
  {
    title: 'Do we submit regularly?'
    query: loadTextContent('../queries/irregular.kql')
    shown: 'table'
    empty: 'The app tells it once a day, and has not yet.'
    over: 'past'
  }
  {
    title: 'Reports, submissions and verdicts, each week'
    query: loadTextContent('../queries/weeks.kql')
    shown: 'table'
    empty: 'No day was told in this time.'
    over: 'past'
  }
  {
    title: 'Claims, verdicts and disputes, each month'
    query: loadTextContent('../queries/months.kql')
    shown: 'table'
    empty: 'No day was told in this time.'
    over: 'past'
  }
  {
    title: 'Minutes to submission and to verdict, each day'
    query: loadTextContent('../queries/days.kql')
    shown: 'timechart'
    empty: 'No day was told in this time.'
    over: 'past'
  }
  {
    title: 'What was not submitted, each week'
    query: loadTextContent('../queries/unsubmitted.kql')
    shown: 'barchart'
    empty: 'No day was told in this time.'
    over: 'past'
  }
]

@description('The choice of a time range for what goes on, and of one for how the weeks go; each question is asked for one.')
var timeRange = {
  type: 9
  name: 'time range'
  content: {
    version: 'KqlParameterItem/1.0'
    style: 'pills'
    queryType: 0
    resourceType: 'microsoft.operationalinsights/workspaces'
    parameters: [
      {
        id: guid(resourceGroup().id, namePrefix, 'range')
        version: 'KqlParameterItem/1.0'
        name: 'range'
        label: 'Time range'
        type: 4
        isRequired: true
        value: { durationMs: 86400000 }
        typeSettings: {
          selectableValues: [
            { durationMs: 3600000 }
            { durationMs: 14400000 }
            { durationMs: 86400000 }
            { durationMs: 604800000 }
            { durationMs: 2592000000 }
          ]
          allowCustom: true
        }
      }
      {
        id: guid(resourceGroup().id, namePrefix, 'past')
        version: 'KqlParameterItem/1.0'
        name: 'past'
        label: 'Weeks and months'
        type: 4
        isRequired: true
        value: { durationMs: 7776000000 }
        typeSettings: {
          selectableValues: [
            { durationMs: 2592000000 }
            { durationMs: 5184000000 }
            { durationMs: 7776000000 }
          ]
          allowCustom: true
        }
      }
    ]
  }
}

@description('Each question as the workbook wants it.')
var parts = [
  for chart in charts: {
    type: 3
    name: chart.title
    customWidth: '50'
    content: {
      version: 'KqlItem/1.0'
      query: '${events}${chart.query}'
      size: 0
      title: chart.title
      noDataMessage: chart.empty
      timeContextFromParameter: chart.?over ?? 'range'
      queryType: 0
      resourceType: 'microsoft.operationalinsights/workspaces'
      crossComponentResources: [workspaceId]
      visualization: chart.shown
    }
  }
]

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, namePrefix, 'workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: '${namePrefix}: Defender Submissions'
    category: 'workbook'
    sourceId: workspaceId
    serializedData: string({
      version: 'Notebook/1.0'
      items: concat([timeRange], parts)
      fallbackResourceIds: [workspaceId]
    })
  }
}
