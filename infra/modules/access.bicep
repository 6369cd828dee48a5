// Who may do what: every grant of the deployment is a row of `grants`, and no other file grants anything in Azure.
// What is held: each row is needed and each is as narrow as its reason allows (tests/infra/test_access.py compares them
// with what the code and the Functions host do). What Azure cannot grant, Graph and Exchange, is not here.

@description('Object id of the service principal of the app\'s managed identity.')
@minLength(36)
param appPrincipalId string

@description('Storage account of the Functions host.')
param hostStorageName string

@description('Storage account of the data: queues, tables and containers.')
param dataStorageName string

@description('Application Insights component that the app writes to.')
param applicationInsightsName string

@description('Whether reporters are answered.')
param answersReporters bool

@description('Object id of the Entra group that asks for submissions; empty grants nothing.')
param operatorsGroupId string

@description('Object id of the Entra group whose programs read the outcomes; empty grants nothing.')
param pipelinesGroupId string

@description('Object id of the Entra group that looks after the app; empty grants nothing.')
param administratorsGroupId string

@description('A row: who gets which role on what, and why.')
type Grant = {
  @description('The app\'s identity, or one of the groups.')
  who: 'app' | 'operators' | 'pipelines' | 'administrators'
  @description('One of `roleIds`.')
  role: string
  @description('What kind of resource the role is for.')
  scope: 'hostStorage' | 'dataStorage' | 'queue' | 'table' | 'container' | 'applicationInsights'
  @description('The queue, table or container; empty for a whole resource.')
  name: string
  @description('What it is needed for; shown in the portal with the assignment.')
  reason: string
}

@description('Somebody of the tenant.')
type Principal = {
  @description('Object id.')
  id: string
  @description('Told so that ARM does not look for an identity that was made a moment ago.')
  type: 'ServicePrincipal' | 'Group'
}

@description('What an assignment says.')
type Assignment = {
  @description('Object id of who gets the role.')
  principalId: string
  @description('What kind of principal that is.')
  principalType: 'ServicePrincipal' | 'Group'
  @description('Resource id of the role.')
  roleDefinitionId: string
  @description('Why.')
  description: string
}

@description('Built-in roles of Azure (learn.microsoft.com/azure/role-based-access-control/built-in-roles).')
var roleIds = {
  'Monitoring Metrics Publisher': '3913510d-42f4-4e42-8a64-420c390055eb'
  'Storage Blob Data Contributor': 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  'Storage Blob Data Owner': 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  'Storage Blob Data Reader': '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
  'Storage Queue Data Contributor': '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  'Storage Queue Data Message Sender': 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
  'Storage Table Data Contributor': '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  'Storage Table Data Reader': '76199698-9eea-4c19-bc75-cec21354c6b6'
}

@description('Grants that only answers to reporters need.')
var feedbackGrants Grant[] = [
  {
    who: 'app'
    role: 'Storage Queue Data Contributor'
    scope: 'queue'
    name: 'notifications'
    reason: 'The app adds whom to answer; the host takes, gives back and deletes it'
  }
  {
    who: 'app'
    role: 'Storage Queue Data Contributor'
    scope: 'queue'
    name: 'notifications-poison'
    reason: 'The host moves answers here that failed every time, and takes them to note it in their rows'
  }
  {
    who: 'app'
    role: 'Storage Blob Data Reader'
    scope: 'container'
    name: 'feedback-texts'
    reason: 'Read the texts of answers that replace the shipped ones'
  }
  {
    who: 'operators'
    role: 'Storage Blob Data Contributor'
    scope: 'container'
    name: 'feedback-texts'
    reason: 'Upload texts of answers'
  }
]

@description('Every other grant.')
var grants Grant[] = [
  // The host's own storage.
  {
    who: 'app'
    role: 'Storage Blob Data Owner'
    scope: 'hostStorage'
    name: ''
    reason: 'The host makes containers, holds leases, keeps timer times and reads the package; the role Microsoft names for it'
  }
  {
    who: 'app'
    role: 'Storage Table Data Contributor'
    scope: 'hostStorage'
    name: ''
    reason: 'The host makes a table of diagnostic events each month and writes to it'
  }
  // The data. A transaction goes to the account's address. Microsoft says that each of its parts is authorised by itself,
  // not at which scope, and has no word on roles for single tables there; the account holds no table but these six. The
  // queue roles that look sufficient, Reader with Message Processor and Sender, cannot give a message back.
  {
    who: 'app'
    role: 'Storage Table Data Contributor'
    scope: 'dataStorage'
    name: ''
    reason: 'Rows of all six tables; a transaction is addressed to the account, not to a table'
  }
  {
    who: 'app'
    role: 'Storage Queue Data Contributor'
    scope: 'queue'
    name: 'manual-submissions'
    reason: 'The host takes, gives back and deletes requests; the hunting query adds some'
  }
  {
    who: 'app'
    role: 'Storage Queue Data Contributor'
    scope: 'queue'
    name: 'manual-submissions-poison'
    reason: 'The host moves requests here that failed every time, and takes them for their final rows'
  }
  {
    who: 'app'
    role: 'Storage Queue Data Contributor'
    scope: 'queue'
    name: 'submissions'
    reason: 'Dispatch adds what may go out; the host takes, gives back and deletes it'
  }
  {
    who: 'app'
    role: 'Storage Queue Data Contributor'
    scope: 'queue'
    name: 'submissions-poison'
    reason: 'The host moves submissions here that failed every time, and takes them to fail their rows'
  }
  {
    who: 'app'
    role: 'Storage Blob Data Contributor'
    scope: 'container'
    name: 'submission-content'
    reason: 'Read what operators uploaded, and delete what holds the address of somebody who is erased'
  }
  {
    who: 'app'
    role: 'Storage Blob Data Contributor'
    scope: 'container'
    name: 'evidence'
    reason: 'Keep originals, read them to submit them, renew what an open row needs; no smaller built-in role may write'
  }
  {
    who: 'app'
    role: 'Storage Blob Data Contributor'
    scope: 'container'
    name: 'rejected-messages'
    reason: 'Keep rejected requests as they were sent; no smaller built-in role may write'
  }
  {
    who: 'app'
    role: 'Monitoring Metrics Publisher'
    scope: 'applicationInsights'
    name: ''
    reason: 'Publish telemetry without a key'
  }
  // People and their programs; nobody gets anything on the host's storage.
  {
    who: 'operators'
    role: 'Storage Queue Data Message Sender'
    scope: 'queue'
    name: 'manual-submissions'
    reason: 'Ask for submissions'
  }
  {
    who: 'operators'
    role: 'Storage Blob Data Contributor'
    scope: 'container'
    name: 'submission-content'
    reason: 'Upload what a request names'
  }
  {
    who: 'pipelines'
    role: 'Storage Table Data Reader'
    scope: 'table'
    name: 'outcomes'
    reason: 'Read how each report and request stands'
  }
  {
    who: 'pipelines'
    role: 'Storage Table Data Reader'
    scope: 'table'
    name: 'outcomelog'
    reason: 'Read every change'
  }
  {
    who: 'pipelines'
    role: 'Storage Table Data Reader'
    scope: 'table'
    name: 'statistics'
    reason: 'Read what each day came to'
  }
  {
    who: 'administrators'
    role: 'Storage Table Data Contributor'
    scope: 'table'
    name: 'runstate'
    reason: 'Ask the app to run its doctor, and read the answer; see when each timer last ran'
  }
  {
    who: 'administrators'
    role: 'Storage Table Data Reader'
    scope: 'table'
    name: 'worklist'
    reason: 'See what waits, since when, and how much of the quota is used'
  }
  {
    who: 'administrators'
    role: 'Storage Table Data Reader'
    scope: 'table'
    name: 'outcomes'
    reason: 'See what failed or was rejected, and why'
  }
  {
    who: 'administrators'
    role: 'Storage Table Data Reader'
    scope: 'table'
    name: 'outcomelog'
    reason: 'See how it came to that'
  }
  {
    who: 'administrators'
    role: 'Storage Table Data Contributor'
    scope: 'table'
    name: 'statistics'
    reason: 'Report what each day came to, and rebuild days from their rows'
  }
  {
    who: 'administrators'
    role: 'Storage Blob Data Reader'
    scope: 'container'
    name: 'rejected-messages'
    reason: 'Read a rejected request as it was sent'
  }
]

@description('The groups by who they are; empty for none.')
var groupIds = {
  operators: operatorsGroupId
  pipelines: pipelinesGroupId
  administrators: administratorsGroupId
}

@description('Everybody who appears in `grants`.')
var principals = {
  app: { id: appPrincipalId, type: 'ServicePrincipal' }
  operators: { id: operatorsGroupId, type: 'Group' }
  pipelines: { id: pipelinesGroupId, type: 'Group' }
  administrators: { id: administratorsGroupId, type: 'Group' }
}

@description('The rows for somebody who is there.')
var present = filter(
  concat(grants, answersReporters ? feedbackGrants : []),
  grant => grant.who == 'app' || !empty(groupIds[?grant.who])
)
@description('What each of them says. Azure takes a role at a scope once for each principal, and one group may play two parts.')
var said = map(present, grant => [groupIds[?grant.who] ?? grant.who, grant.role, grant.scope, grant.name])
@description('Those rows, without what an earlier one says already.')
var granted = filter(present, (grant, i) => indexOf(said, said[i]) == i)
@description('Those on the host\'s storage account.')
var onHostStorage = filter(granted, grant => grant.scope == 'hostStorage')
@description('Those on the data account as a whole.')
var onDataStorage = filter(granted, grant => grant.scope == 'dataStorage')
@description('Those on single queues.')
var onQueues = filter(granted, grant => grant.scope == 'queue')
@description('Those on single tables.')
var onTables = filter(granted, grant => grant.scope == 'table')
@description('Those on single containers.')
var onContainers = filter(granted, grant => grant.scope == 'container')
@description('Those on Application Insights.')
var onApplicationInsights = filter(granted, grant => grant.scope == 'applicationInsights')

resource hostStorage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: hostStorageName
}

resource dataStorage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: dataStorageName

  resource queueService 'queueServices' existing = {
    name: 'default'
  }
  resource tableService 'tableServices' existing = {
    name: 'default'
  }
  resource blobService 'blobServices' existing = {
    name: 'default'
  }
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' existing = [
  for grant in onQueues: {
    parent: dataStorage::queueService
    name: grant.name
  }
]

resource tables 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-06-01' existing = [
  for grant in onTables: {
    parent: dataStorage::tableService
    name: grant.name
  }
]

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' existing = [
  for grant in onContainers: {
    parent: dataStorage::blobService
    name: grant.name
  }
]

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

@description('The properties of an assignment.')
func assignment(principal Principal, roleId string, reason string) Assignment => {
  principalId: principal.id
  principalType: principal.type
  roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleId)
  description: reason
}

// An assignment is named by scope, role and `who`, not by the principal's id. ARM never moves an assignment to another
// principal, so that the deployment after a group was exchanged or the identity made anew stops there
// (RoleAssignmentUpdateNotPermitted) until the old assignment is removed: nobody who was replaced keeps a grant unseen,
// as an incremental deployment would let them with a name made from the principal's id. It also keeps the prediction of
// a deployment whole, where the identity's id is not known.
resource grantsOnHostStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for grant in onHostStorage: {
    name: guid(hostStorage.id, roleIds[grant.role], grant.who)
    scope: hostStorage
    properties: assignment(principals[grant.who], roleIds[grant.role], grant.reason)
  }
]

resource grantsOnDataStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for grant in onDataStorage: {
    name: guid(dataStorage.id, roleIds[grant.role], grant.who)
    scope: dataStorage
    properties: assignment(principals[grant.who], roleIds[grant.role], grant.reason)
  }
]

resource grantsOnQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (grant, i) in onQueues: {
    name: guid(queues[i].id, roleIds[grant.role], grant.who)
    scope: queues[i]
    properties: assignment(principals[grant.who], roleIds[grant.role], grant.reason)
  }
]

resource grantsOnTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (grant, i) in onTables: {
    name: guid(tables[i].id, roleIds[grant.role], grant.who)
    scope: tables[i]
    properties: assignment(principals[grant.who], roleIds[grant.role], grant.reason)
  }
]

resource grantsOnContainers 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (grant, i) in onContainers: {
    name: guid(containers[i].id, roleIds[grant.role], grant.who)
    scope: containers[i]
    properties: assignment(principals[grant.who], roleIds[grant.role], grant.reason)
  }
]

resource grantsOnApplicationInsights 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for grant in onApplicationInsights: {
    name: guid(applicationInsights.id, roleIds[grant.role], grant.who)
    scope: applicationInsights
    properties: assignment(principals[grant.who], roleIds[grant.role], grant.reason)
  }
]
