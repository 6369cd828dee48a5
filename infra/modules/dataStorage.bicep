// The app's data, and all that operators and pipelines touch: queues, tables, containers, and how long blobs stay.
// What is held: the app makes nothing itself, so what its code names is exactly what is declared here
// (tests/infra/test_deployment.py compares the two), and deleted mail is gone.

@description('Azure region.')
param location string

@description('Tags of the account.')
param tags { *: string }

@description('Name of the account.')
@minLength(3)
@maxLength(24)
param name string

@description('Replication of the account.')
param replication 'Standard_LRS' | 'Standard_ZRS' | 'Standard_GRS' | 'Standard_GZRS'

@description('Whether the account is closed to the internet.')
param isPrivate bool

@description('Days that originals are kept after they were last written.')
@minValue(1)
@maxValue(365)
param evidenceDays int

@description('Whether reporters are answered.')
param answersReporters bool

@description('Workspace that is told who read, wrote and deleted what; empty for none.')
param auditWorkspaceId string

@description('Each work queue has its poison queue declared: the app may not make one, and without it a message that always fails would circle for a week.')
var queueNames = concat(
  ['manual-submissions', 'manual-submissions-poison', 'submissions', 'submissions-poison'],
  answersReporters ? ['notifications', 'notifications-poison'] : []
)

@description('Tables, by the names that the code has for them.')
var tableNames = [
  'outcomes'
  'outcomelog'
  'statistics'
  'worklist'
  'items'
  'runstate'
]

@description('Containers, each with the days after their last change after which its blobs are deleted.')
var containers = [
  // An upload is read within minutes of its request; after 30 days Microsoft would not take the mail any more.
  { name: 'submission-content', days: 30 }
  // The app deletes no original: it writes anew, each day of its last week, what an open row still needs. So it may stand
  // still for a week, or for as long as originals are kept, without losing one.
  { name: 'evidence', days: evidenceDays }
  // Long enough for a quarter's review of what operators got wrong; the app never deletes one.
  { name: 'rejected-messages', days: 90 }
]

@description('Containers, by the names that the code has for them. Texts of answers are no mail: they stay.')
var containerNames = concat(map(containers, container => container.name), answersReporters ? ['feedback-texts'] : [])

resource account 'Microsoft.Storage/storageAccounts@2026-04-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: replication }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      // Without the network the app's addresses are not known beforehand; who may do what is up to access.bicep.
      defaultAction: isPrivate ? 'Deny' : 'Allow'
      // The lifecycle rules below are carried out by one of Microsoft's services, which a firewall may keep out ("Blob
      // lifecycle management overview"). Like everybody else such a service needs a role to reach data, and none has one.
      bypass: isPrivate ? 'AzureServices' : 'None'
    }
    encryption: {
      // A second layer of encryption costs nothing, and can be had only when an account is made.
      requireInfrastructureEncryption: true
      keySource: 'Microsoft.Storage'
      services: {
        blob: { enabled: true, keyType: 'Account' }
        queue: { enabled: true, keyType: 'Account' }
        table: { enabled: true, keyType: 'Account' }
      }
    }
  }

  resource queueService 'queueServices' = {
    name: 'default'

    resource queues 'queues' = [for queue in queueNames: { name: queue }]
  }

  resource tableService 'tableServices' = {
    name: 'default'

    resource tables 'tables' = [for table in tableNames: { name: table }]
  }

  resource blobService 'blobServices' = {
    name: 'default'
    properties: {
      // Mail is personal data of people who are promised its deletion: no copy may outlive the blob. What soft delete
      // would protect from costs little here, as a report still lies in its mailbox.
      deleteRetentionPolicy: { enabled: false }
      containerDeleteRetentionPolicy: { enabled: false }
      isVersioningEnabled: false
      changeFeed: { enabled: false }
    }

    resource blobContainers 'containers' = [
      for name in containerNames: {
        name: name
        properties: { publicAccess: 'None' }
      }
    ]
  }

  resource lifecycle 'managementPolicies' = {
    name: 'default'
    // The rules name containers by prefix, which the service takes whether or not they exist yet.
    properties: {
      policy: {
        rules: [
          for container in containers: {
            name: 'delete-${container.name}'
            type: 'Lifecycle'
            enabled: true
            definition: {
              filters: { blobTypes: ['blockBlob'], prefixMatch: ['${container.name}/'] }
              actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: container.days } } }
            }
          }
        ]
      }
    }
    dependsOn: [blobService]
  }
}

@description('Categories of storage logs that together tell who did what. Metrics are kept without being asked.')
var auditLogs = map(['StorageRead', 'StorageWrite', 'StorageDelete'], category => { category: category, enabled: true })

// The only version of this type without `preview` dates from 2016, before storage knew such settings.
#disable-next-line use-recent-api-versions
resource queueAudit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (!empty(auditWorkspaceId)) {
  name: 'audit'
  scope: account::queueService
  properties: { workspaceId: auditWorkspaceId, logs: auditLogs }
}

#disable-next-line use-recent-api-versions // as above
resource tableAudit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (!empty(auditWorkspaceId)) {
  name: 'audit'
  scope: account::tableService
  properties: { workspaceId: auditWorkspaceId, logs: auditLogs }
}

#disable-next-line use-recent-api-versions // as above
resource blobAudit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (!empty(auditWorkspaceId)) {
  name: 'audit'
  scope: account::blobService
  properties: { workspaceId: auditWorkspaceId, logs: auditLogs }
}
