// Everything the app needs in Azure, in one resource group: an administrator is handed a group, not a subscription.
// What Azure cannot grant, rights in Microsoft Graph and in Exchange Online, is given by `scripts/` afterwards.
// What is held: no secret goes in or out, and the app starts only after its grants are made.

targetScope = 'resourceGroup'

// Where, and under which names

@description('Azure region of everything. It must offer Flex Consumption: `az functionapp list-flexconsumption-locations`.')
param location string = resourceGroup().location

@description('Beginning of every name: lower-case letters and digits, because storage accounts take no others.')
@minLength(3)
@maxLength(12)
param namePrefix string = 'defendersub'

@description('Tags of every resource.')
param tags { *: string } = {}

// Whose mail

@description('Id of the Entra tenant whose reports are trusted.')
@minLength(36)
@maxLength(36)
param tenantId string = tenant().tenantId

@description('Mailboxes that reports arrive in, each with `/folder` after it if not the inbox.')
@minLength(1)
param reportingMailboxes string[]

@description('The tenant\'s accepted domains: who may report, and who is a recipient.')
@minLength(1)
param tenantDomains string[]

@description('Whether the built-in button\'s reports reach Microsoft by themselves; `auto` asks the tenant at each run.')
@allowed(['auto', 'mailbox', 'microsoft'])
param reportDestination string = 'auto'

@description('How to know your phishing simulations; `none` where you have none. It has no default, so that no deployment empties it by leaving it out. A mark that holds a shared secret stands in no file: give a Key Vault reference, `@Microsoft.KeyVault(SecretUri=...)`.')
@secure()
param simulationMarks string

// What is submitted, and how much

@description('`shadow` does everything but the submission itself, and ends each row for good.')
@allowed(['live', 'shadow'])
param submissionMode string = 'live'

@description('Submissions in any 15 minutes. Microsoft admits 150 for the whole tenant.')
@minValue(1)
@maxValue(150)
param quotaPer15Min int = 150

@description('Submissions in any 24 hours. Microsoft admits 10,000 for the whole tenant.')
@minValue(1)
@maxValue(10000)
param quotaPerDay int = 10000

@description('Part of the 15-minute quota that the app never uses, for people in the portal; of the day the same share.')
@minValue(0)
@maxValue(149)
param quotaReservedForPeople int = 10

@description('Part of the rest that only urgent rows take, and of the day the same share. Both reserves together must be less than the quota.')
@minValue(0)
@maxValue(149)
param quotaReservedForUrgent int = 20

@description('How many members of one campaign are submitted in 24 hours.')
@minValue(1)
@maxValue(20)
param campaignRepresentatives int = 3

@description('Hours after its submission at which a row without a verdict expires.')
@minValue(1)
@maxValue(720)
param verdictDeadlineHours int = 72

@description('Largest mail that is submitted, in bytes.')
@minValue(1)
@maxValue(3000000)
param maxSubmissionBytes int = 3000000

@description('Days that reported mail is kept; what an open row needs stays longer.')
@minValue(1)
@maxValue(365)
param evidenceDays int = 30

@description('Days that rows of the table `outcomes` are kept after their last change, 30 at least; left out: for ever.')
@minValue(30)
@maxValue(3650)
param outcomesDays int?

@description('Days that the changes in the table `outcomelog` are kept, 30 at least; left out: for ever.')
@minValue(30)
@maxValue(3650)
param outcomelogDays int?

@description('Days that rows of the table `items` are kept after their last change, 30 at least; left out: for ever.')
@minValue(30)
@maxValue(3650)
param itemsDays int?

// Sources beside the mailboxes. Each needs a Graph permission of its own, see docs/sources.md.

@description('`on` takes in what users have reported to Microsoft.')
@allowed(['off', 'on'])
param userSubmissions string = 'off'

@description('`on` takes in what Defender\'s alerts tell of users\' reports.')
@allowed(['off', 'on'])
param defenderAlerts string = 'off'

@description('Advanced hunting query whose rows are submitted; empty switches hunting off.')
@maxLength(10000)
param huntingQuery string = ''

@description('What the rows of the hunting query are claimed to be.')
@allowed(['phishing', 'malware', 'spam', 'notJunk'])
param huntingCategory string = 'phishing'

// Answers to reporters. They need rights of their own in Exchange Online, see scripts/exchange-access.ps1.

@description('What reporters are told: nothing, Microsoft\'s verdict, or also that their report came in.')
@allowed(['off', 'verdict', 'received,verdict'])
param reporterFeedback string = 'off'

@description('Mailbox of its own that answers come from; needed unless `reporterFeedback` is `off`.')
@maxLength(254)
param feedbackMailbox string = ''

@description('Language of the answers, such as `en` or `de`.')
@minLength(2)
@maxLength(20)
param feedbackLanguage string = 'en'

@description('`on` tells whoever reports a phishing simulation that it was one.')
@allowed(['off', 'on'])
param feedbackSimulations string = 'off'

// When, and where to

@description('NCRONTAB of collecting reports, in UTC: Flex Consumption knows no time zones. What rarer runs save is in docs/deploy.md, Cost.')
@minLength(9)
param collectSchedule string = '*/30 * * * * *'

@description('NCRONTAB of planning. A plan reaches 75 seconds ahead, so keep it at a minute.')
@minLength(9)
param dispatchSchedule string = '0 * * * * *'

@description('NCRONTAB of asking for verdicts.')
@minLength(9)
param settleSchedule string = '0 */5 * * * *'

@description('Microsoft Graph\'s address in the tenant\'s cloud. Threat submissions are documented for the global one only.')
@allowed([
  'https://graph.microsoft.com'
  'https://graph.microsoft.us'
  'https://dod-graph.microsoft.us'
  'https://microsoftgraph.chinacloudapi.cn'
])
param graphBaseUrl string = 'https://graph.microsoft.com'

// The function app

@description('Python version of the app.')
@allowed(['3.11', '3.12', '3.13'])
param pythonVersion string = '3.13'

@description('Memory of one instance, in MB.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Functions that are switched off, for a pause that outlives deployments.')
param pausedFunctions (
  | 'collect_reports'
  | 'intake_manual'
  | 'dispatch'
  | 'submit'
  | 'settle_outcomes'
  | 'record_poison_manual'
  | 'record_poison_submission'
  | 'notify'
  | 'record_poison_notification')[] = []

@description('Most instances of each function. With four messages at once (host.json), one stays within the four requests that Graph answers at once for a mailbox. Older documentation tells of a platform minimum of 40; multiply before you raise it.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 1

@description('Whether the app\'s publishing endpoint answers from the internet, to holders of an Entra right on the app. The app serves nothing else. With `Disabled`, switch it on for each deployment of code.')
@allowed(['Enabled', 'Disabled'])
param publishingAccess string = 'Enabled'

// Who may do what: object ids of Entra groups, see modules/access.bicep. Empty grants nothing.

@description('Group that asks for submissions.')
@maxLength(36)
param operatorsGroupId string = ''

@description('Group whose programs read the outcomes.')
@maxLength(36)
param pipelinesGroupId string = ''

@description('Group that looks after the app.')
@maxLength(36)
param administratorsGroupId string = ''

// Network and data

@description('Closes both storage accounts to the internet. Operators, pipelines and administrators then need a way into the virtual network, and its private DNS.')
param privateNetworking bool = false

@description('Address range of the virtual network, /16 to /24. It must not overlap with a network it is to be joined to.')
param networkAddressPrefix string = '10.80.0.0/24'

@description('Replication of both storage accounts. With GRS the data can be read back after the loss of a region.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param storageReplication string = 'Standard_LRS'

// Knowing that it runs

@description('Addresses that alerts are mailed to; with none they show in the portal only.')
param alertEmails string[] = []

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Most gigabytes of logs taken in a day. Beyond it nothing is logged until the next day, and alerts are blind.')
@minValue(1)
@maxValue(1000)
param logDailyCapGB int = 2

@description('Logs who read, wrote and deleted what in the data account: about 2 GB a month for the polling of idle queues.')
param storageAudit bool = false

@description('Part of every name that others on Azure could have taken: the same group and prefix always give the same.')
var nameSuffix = take(uniqueString(resourceGroup().id, namePrefix), 8)

@description('Names are computed here, not read from what was made, so that a deployment is predicted whole.')
var names = {
  app: '${namePrefix}-app-${nameSuffix}'
  identity: '${namePrefix}-identity'
  hostStorage: '${namePrefix}host${nameSuffix}'
  dataStorage: '${namePrefix}data${nameSuffix}'
  applicationInsights: '${namePrefix}-insights'
  workspace: '${namePrefix}-logs'
  actionGroup: '${namePrefix}-mails'
  network: '${namePrefix}-network'
  appSubnet: 'app'
  packageContainer: 'deployed-package'
}

@description('Resource id of the workspace that logs go to.')
var workspaceId = resourceId('Microsoft.OperationalInsights/workspaces', names.workspace)

@description('Whether there is anything of the answers to make or to grant.')
var answersReporters = reporterFeedback != 'off'

@description('Every setting that the app\'s parser reads, but for its storage and the marks of simulations.')
var submissionSettings = {
  TENANT_ID: tenantId
  REPORTING_MAILBOXES: join(reportingMailboxes, ',')
  TENANT_DOMAINS: join(tenantDomains, ',')
  REPORT_DESTINATION: reportDestination
  SUBMISSION_MODE: submissionMode
  GRAPH_BASE_URL: graphBaseUrl
  QUOTA_PER_15_MIN: string(quotaPer15Min)
  QUOTA_PER_DAY: string(quotaPerDay)
  QUOTA_RESERVED_FOR_PEOPLE: string(quotaReservedForPeople)
  // The app would refuse to start; it is better to hear of it before anything is deployed.
  QUOTA_RESERVED_FOR_URGENT: quotaReservedForPeople + quotaReservedForUrgent < quotaPer15Min
    ? string(quotaReservedForUrgent)
    : fail('quotaReservedForPeople and quotaReservedForUrgent together must be less than quotaPer15Min')
  CAMPAIGN_REPRESENTATIVES: string(campaignRepresentatives)
  VERDICT_DEADLINE_HOURS: string(verdictDeadlineHours)
  MAX_SUBMISSION_BYTES: string(maxSubmissionBytes)
  EVIDENCE_DAYS: string(evidenceDays)
  REPORTER_FEEDBACK: reporterFeedback
  FEEDBACK_MAILBOX: answersReporters && empty(feedbackMailbox)
    ? fail('feedbackMailbox is empty: answers to reporters need a mailbox to come from')
    : feedbackMailbox
  FEEDBACK_LANGUAGE: feedbackLanguage
  FEEDBACK_SIMULATIONS: feedbackSimulations
  OUTCOMES_DAYS: outcomesDays == null ? '' : string(outcomesDays)
  OUTCOMELOG_DAYS: outcomelogDays == null ? '' : string(outcomelogDays)
  ITEMS_DAYS: itemsDays == null ? '' : string(itemsDays)
  USER_SUBMISSIONS: userSubmissions
  DEFENDER_ALERTS: defenderAlerts
  HUNTING_QUERY: huntingQuery
  HUNTING_CATEGORY: huntingCategory
  COLLECT_SCHEDULE: collectSchedule
  DISPATCH_SCHEDULE: dispatchSchedule
  SETTLE_SCHEDULE: settleSchedule
}

module identity 'modules/identity.bicep' = {
  params: { location: location, tags: tags, name: names.identity }
}

module monitoring 'modules/monitoring.bicep' = {
  params: {
    location: location
    tags: tags
    actionGroupName: names.actionGroup
    actionGroupShortName: namePrefix
    workspaceName: names.workspace
    applicationInsightsName: names.applicationInsights
    retentionDays: logRetentionDays
    dailyCapGB: logDailyCapGB
    alertEmails: alertEmails
  }
}

module hostStorage 'modules/hostStorage.bicep' = {
  params: {
    location: location
    tags: tags
    name: names.hostStorage
    packageContainerName: names.packageContainer
    replication: storageReplication
    isPrivate: privateNetworking
  }
}

module dataStorage 'modules/dataStorage.bicep' = {
  dependsOn: [monitoring]
  params: {
    location: location
    tags: tags
    name: names.dataStorage
    replication: storageReplication
    isPrivate: privateNetworking
    evidenceDays: evidenceDays
    answersReporters: answersReporters
    auditWorkspaceId: storageAudit ? workspaceId : ''
  }
}

module network 'modules/network.bicep' = if (privateNetworking) {
  dependsOn: [hostStorage, dataStorage]
  params: {
    location: location
    tags: tags
    namePrefix: namePrefix
    name: names.network
    appSubnetName: names.appSubnet
    addressPrefix: networkAddressPrefix
    hostStorageName: names.hostStorage
    dataStorageName: names.dataStorage
  }
}

module access 'modules/access.bicep' = {
  dependsOn: [hostStorage, dataStorage, monitoring]
  params: {
    appPrincipalId: identity.outputs.principalId
    hostStorageName: names.hostStorage
    dataStorageName: names.dataStorage
    applicationInsightsName: names.applicationInsights
    answersReporters: answersReporters
    operatorsGroupId: operatorsGroupId
    pipelinesGroupId: pipelinesGroupId
    administratorsGroupId: administratorsGroupId
  }
}

module app 'modules/app.bicep' = {
  // Without its grants the host cannot take a lease or read the package, and gives up for minutes at a time.
  dependsOn: [access, network]
  params: {
    location: location
    tags: tags
    name: names.app
    planName: '${namePrefix}-plan'
    identityName: names.identity
    hostStorageName: names.hostStorage
    packageContainerName: names.packageContainer
    dataStorageName: names.dataStorage
    applicationInsightsName: names.applicationInsights
    submissionSettings: submissionSettings
    simulationMarks: simulationMarks
    pausedFunctions: pausedFunctions
    pythonVersion: pythonVersion
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    publishingAccess: publishingAccess
    subnetId: privateNetworking
      ? resourceId('Microsoft.Network/virtualNetworks/subnets', names.network, names.appSubnet)
      : ''
  }
}

module alerts 'modules/alerts.bicep' = {
  dependsOn: [monitoring]
  params: {
    location: location
    tags: tags
    namePrefix: namePrefix
    workspaceId: workspaceId
    actionGroupIds: empty(alertEmails) ? [] : [resourceId('Microsoft.Insights/actionGroups', names.actionGroup)]
    quotaPer15Min: quotaPer15Min
    quotaPerDay: quotaPerDay
    verdictDeadlineHours: verdictDeadlineHours
    answersReporters: answersReporters
  }
}

module workbook 'modules/workbook.bicep' = {
  dependsOn: [monitoring]
  params: { location: location, tags: tags, namePrefix: namePrefix, workspaceId: workspaceId }
}

@description('Name of the function app, to publish the code to.')
output functionAppName string = names.app

@description('Name of the app\'s managed identity, as Entra and Exchange show it.')
output identityName string = names.identity

@description('Client (application) id of the identity, for Exchange.')
output identityClientId string = identity.outputs.clientId

@description('Object id of the identity\'s service principal, for the Graph permissions and Exchange.')
output identityPrincipalId string = identity.outputs.principalId

@description('Storage account that operators, pipelines and administrators work with.')
output dataStorageName string = names.dataStorage

@description('Where operators put requests, on the queue manual-submissions.')
output queueServiceUri string = 'https://${names.dataStorage}.queue.${environment().suffixes.storage}'

@description('Where pipelines read, in the tables outcomes, outcomelog and statistics.')
output tableServiceUri string = 'https://${names.dataStorage}.table.${environment().suffixes.storage}'

@description('Where operators upload, to the container submission-content.')
output blobServiceUri string = 'https://${names.dataStorage}.blob.${environment().suffixes.storage}'

@description('Name of the Log Analytics workspace that the logs are in.')
output workspaceName string = names.workspace
